"""From sound to a transcript with WhisperX: voice activity, then Whisper in batches. Each post once, whoever asks."""

from __future__ import annotations

import math
import weakref
from pathlib import Path
from threading import Lock
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from viral.errors import ConfigError, WeightsError
from viral.extractors.extractor import Sample
from viral.extractors.transcript import Segment, Span, Transcript
from viral.extractors.whisperx_library import exactly, load_whisperx
from viral.media.media import Media
from viral.media.requests import AudioTrack

TRACK = AudioTrack(rate=16000)
"""What WhisperX's models were trained on."""

Precision = Literal["float32", "int8_float32", "float16"]
"""`float32` gives the same transcript on every machine up to rounding. `int8_float32` is several times faster on CPUs
and needs a quarter of the memory; `float16` needs a GPU. Each gives others, so it is part of the fingerprint and never
chosen by looking at the machine, since then two nodes would fill one table with two kinds of transcripts."""

_BATCH = 8  # segments of one post that are decoded at once
_SECONDS = 30  # what Whisper sees at a time

_made: weakref.WeakValueDictionary[tuple[object, ...], Transcriber] = weakref.WeakValueDictionary()
_making = Lock()


def transcriber(folder: Path, device: str, language: str | None, precision: Precision) -> Transcriber:
    """The transcriber of these models: one for all extractors of a process that ask alike, for as long as one lives.

    Args:
        folder: a Whisper model as CTranslate2's converter writes it, with its `tokenizer.json`.
        device: `cpu`, `cuda` or `cuda:1`.
        language: Whisper's code of the language; None hears which it is.
        precision: what the network computes in.

    Raises:
        ConfigError: a precision that the device cannot compute in, or a language that the model does not know.
        WeightsError: the folder holds no such model.
    """
    key = (folder, device, language, precision)
    with _making:
        found = _made.get(key)
        if found is None:
            found = _made[key] = Transcriber(folder, device, language, precision)
        return found


class Transcriber:
    """Turns the sound of posts into transcripts. Its models are not made for threads: one post at a time.

    Arguments and errors are those of `transcriber`. The weights of the voice detection are in the wheel of WhisperX,
    as a pickle: they are trusted as its code is.

    Sources: Bain et al. 2023, arXiv 2303.00747 (WhisperX); Radford et al. 2022, arXiv 2212.04356 (Whisper); Bredin and
    Laurent 2021, arXiv 2104.04045 (voice activity).
    """

    def __init__(self, folder: Path, device: str, language: str | None, precision: Precision) -> None:
        self._pipeline, self._device, self._language = _loaded(folder, device, precision), device, language
        self._detect_voice = self._pipeline.vad_model
        self._transcripts: dict[int, Transcript | None] = {}
        self._lock = Lock()
        if language and language not in self._pipeline.model.supported_languages:
            raise ConfigError(f"the Whisper model in {folder} does not know the language {language!r}")

    def __call__(self, sample: Sample) -> Transcript | None:
        """The transcript of a post; None where there is no sound, or no speech in it."""
        media = sample.media
        audio = media.audio(TRACK) if media else None
        if media is None or audio is None or not len(audio.samples):
            return None
        with self._lock:
            if id(media) not in self._transcripts:
                transcript = self._transcribed(audio.samples)
                self._remember(media, transcript)
            return self._transcripts[id(media)]

    def _remember(self, media: Media, transcript: Transcript | None) -> None:
        """For as long as the post is there: a Media holds arrays, so that no dictionary can have it as its key."""
        self._transcripts[id(media)] = transcript
        weakref.finalize(media, self._transcripts.pop, id(media), None).atexit = False

    def _transcribed(self, samples: npt.NDArray[np.float32]) -> Transcript | None:
        import torch
        from whisperx.vads import Pyannote

        with exactly(self._device):
            waveform = torch.from_numpy(samples)[None]
            activity = self._detect_voice({"waveform": waveform, "sample_rate": TRACK.rate})
            limits = self._pipeline._vad_params
            merged = Pyannote.merge_chunks(activity, _SECONDS, limits["vad_onset"], limits["vad_offset"])
            seconds = len(samples) / TRACK.rate
            turns = _inside(seconds, (turn for chunk in merged for turn in chunk["segments"]))
            if not turns:
                return None
            language, confidence = self._heard(samples[int(turns[0][0] * TRACK.rate) :])
            self._pipeline.vad_model = lambda _: activity  # it asks for it once more
            found = self._pipeline.transcribe(samples, batch_size=_BATCH, language=language)
        segments = tuple(_segment(each, seconds) for each in found["segments"])
        return Transcript(seconds, turns, language, confidence, segments)

    def _heard(self, samples: npt.NDArray[np.float32]) -> tuple[str, float]:
        """The language of the first 30 s, and how probable it is; 1 where there is no choice."""
        if self._language:
            return self._language, 1.0
        if not self._pipeline.model.model.is_multilingual:
            return "en", 1.0
        language, probability, _ = self._pipeline.model.detect_language(samples)
        return str(language), float(probability)


def _loaded(folder: Path, device: str, precision: Precision) -> Any:
    load_whisperx()
    import ctranslate2
    import torch
    import whisperx

    kind, _, index = device.partition(":")
    if precision not in ctranslate2.get_supported_compute_types(kind, int(index or 0)):
        raise ConfigError(f"Whisper cannot compute in {precision} on {device}: choose float32 or int8_float32")
    try:
        return whisperx.load_model(
            str(folder),
            kind,
            device_index=int(index or 0),
            compute_type=precision,
            threads=torch.get_num_threads(),  # CTranslate2 takes four else, whatever Ray and torch were told
            local_files_only=True,
        )
    except (RuntimeError, ValueError) as error:
        said = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise WeightsError(f"{folder} holds no Whisper model that CTranslate2 can read: {said}") from error


def _inside(seconds: float, spans: Any) -> tuple[Span, ...]:
    """The spans as far as they lie in the track: the detector's frames may reach a little beyond its end."""
    cut = ((round(float(start), 3), round(min(float(end), seconds), 3)) for start, end in spans)
    return tuple((start, end) for start, end in cut if start < end)


def _segment(found: dict[str, Any], seconds: float) -> Segment:
    text = " ".join(str(found["text"]).split())
    return Segment(found["start"], min(found["end"], round(seconds, 3)), text, math.exp(min(0.0, found["avg_logprob"])))
