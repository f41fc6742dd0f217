"""Transcription with WhisperX, once per post: voice activity, Whisper in batches, check for invented words."""

from __future__ import annotations

import math
import weakref
from pathlib import Path
from threading import Lock
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from viral.errors import ConfigError, WeightsError
from viral.extractors.extractor import PostInput
from viral.extractors.hallucination import NO_REPEAT_TOKENS, is_speech
from viral.extractors.network import inference
from viral.extractors.transcript import Span, SpeechSegment, Transcript
from viral.extractors.whisperx_library import NoSpeechRecorder, load_whisperx
from viral.media.media import Media
from viral.media.requests import AudioTrack

TRACK = AudioTrack(rate=16000)  # the rate that WhisperX's models were trained on

Precision = Literal["float32", "int8_float32", "float16"]
"""`float32` gives the same transcript on every machine up to rounding. `int8_float32` needs a quarter of the memory and
less time; `float16` needs a GPU. Each gives other transcripts, so it is part of the fingerprint. It is never chosen
automatically, or two nodes might fill one table with both kinds."""

_BATCH = 8  # segments of a post per batch: WhisperX's own default
_SECONDS = 30  # the input length of Whisper

_transcribers: weakref.WeakValueDictionary[tuple[object, ...], Transcriber] = weakref.WeakValueDictionary()
_transcribers_lock = Lock()


def transcriber(folder: Path, device: str, language: str | None, precision: Precision) -> Transcriber:
    """Return the transcriber of these arguments, shared within the process while it is in use.

    Args:
        folder: a Whisper model converted to CTranslate2's format, with its `tokenizer.json`.
        device: `cpu`, `cuda` or `cuda:1`.
        language: Whisper's code of the language; None detects it.
        precision: precision of the network.

    Raises:
        ConfigError: the device does not support the precision, or the model does not support the language.
        WeightsError: the folder is not such a model.
    """
    key = (folder, device, language, precision)
    with _transcribers_lock:
        shared = _transcribers.get(key)
        if shared is None:
            shared = _transcribers[key] = Transcriber(folder, device, language, precision)
        return shared


class Transcriber:
    """Transcribes the audio of posts, one at a time, as its models are not thread-safe.

    Arguments and errors are those of `transcriber`. The voice detector's weights are a pickle in WhisperX's wheel, so
    they can be trusted like its code.

    Sources: Bain et al. 2023, arXiv 2303.00747 (WhisperX); Radford et al. 2022, arXiv 2212.04356 (Whisper); Bredin and
    Laurent 2021, arXiv 2104.04045 (voice activity).
    """

    def __init__(self, folder: Path, device: str, language: str | None, precision: Precision) -> None:
        self._pipeline, self._device, self._language = _load_pipeline(folder, device, precision), device, language
        self._detect_voice = self._pipeline.vad_model
        self._whisper = self._pipeline.model.model = NoSpeechRecorder(self._pipeline.model.model)
        self._transcripts: dict[int, Transcript | None] = {}
        self._lock = Lock()
        if language and language not in self._pipeline.model.supported_languages:
            raise ConfigError(f"the Whisper model in {folder} does not know the language {language!r}")

    def __call__(self, post: PostInput) -> Transcript | None:
        """Return the transcript of a post; None without audio or speech. Subtitles of the platform are its text."""
        media = post.media
        audio = media.audio(TRACK) if media else None
        if media is None or audio is None or not len(audio.samples):
            return None
        with self._lock:
            # Several extractors read the transcript of a post, and recognition takes by far the most time.
            if id(media) not in self._transcripts:
                transcript = self._transcribe(audio.samples, post.context.subtitles)
                self._remember(media, transcript)
            return self._transcripts[id(media)]

    def _remember(self, media: Media, transcript: Transcript | None) -> None:
        """Cache a transcript by the id of its media (which is not hashable) until the media object is deleted."""
        self._transcripts[id(media)] = transcript
        weakref.finalize(media, self._transcripts.pop, id(media), None).atexit = False

    def _transcribe(self, samples: npt.NDArray[np.float32], subtitles: str | None = None) -> Transcript | None:
        seconds = len(samples) / TRACK.rate
        with inference(self._device, "float32"):  # CTranslate2 has its own precision
            activity, chunks = self._find_voice(samples)
            turns = _turns(chunks, seconds)
            if not turns:
                return None
            # From the first voice on, since Whisper looks at 30 s only.
            language, confidence = self._detect_language(samples[int(turns[0][0] * TRACK.rate) :])
            if subtitles:  # nothing to recognise, and no doubt of its own
                segment = SpeechSegment(turns[0][0], turns[-1][1], " ".join(subtitles.split()), 1.0)
                return Transcript(seconds, turns, language, confidence, (segment,))
            segments = self._recognise(samples, activity, language)
        spoken = [(chunk, part) for chunk, part in zip(chunks, segments, strict=True) if _is_spoken(part)]
        if not spoken:
            return None
        # Voice without words, song or babble, is no speech: its turns go, too.
        turns = _turns([chunk for chunk, _ in spoken], seconds)
        return Transcript(seconds, turns, language, confidence, tuple(_segment(part, seconds) for _, part in spoken))

    def _find_voice(self, samples: npt.NDArray[np.float32]) -> tuple[Any, list[dict[str, Any]]]:
        """Return the voice activity, and its chunks for Whisper: start, end, and the turns within (`segments`)."""
        import torch
        from whisperx.vads import Pyannote

        activity = self._detect_voice({"waveform": torch.from_numpy(samples)[None], "sample_rate": TRACK.rate})
        limits = self._pipeline._vad_params
        return activity, Pyannote.merge_chunks(activity, _SECONDS, limits["vad_onset"], limits["vad_offset"])

    def _recognise(self, samples: npt.NDArray[np.float32], activity: Any, language: str) -> list[dict[str, Any]]:
        """Return a segment per chunk: start, end, text, `avg_logprob` and `no_speech`."""
        self._pipeline.vad_model = lambda _: activity  # or transcribe() would compute it again
        # The recorder adds one probability per segment of the call below.
        self._whisper.probabilities.clear()
        segments = self._pipeline.transcribe(samples, batch_size=_BATCH, language=language)["segments"]
        for segment, no_speech in zip(segments, self._whisper.probabilities, strict=True):
            segment |= {"text": " ".join(str(segment["text"]).split()), "no_speech": no_speech}
        return list(segments)

    def _detect_language(self, samples: npt.NDArray[np.float32]) -> tuple[str, float]:
        """Return the language of the first 30 s and its probability, which is 1 if the language is fixed."""
        if self._language:
            return self._language, 1.0
        if not self._pipeline.model.model.is_multilingual:
            return "en", 1.0
        language, probability, _ = self._pipeline.model.detect_language(samples)
        return str(language), float(probability)


def _load_pipeline(folder: Path, device: str, precision: Precision) -> Any:
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
            asr_options={"no_repeat_ngram_size": NO_REPEAT_TOKENS},
            threads=torch.get_num_threads(),  # CTranslate2 would use four, regardless of Ray's and torch's limits
            local_files_only=True,
        )
    except (RuntimeError, ValueError) as error:
        message = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise WeightsError(f"{folder} is not a Whisper model that CTranslate2 can read: {message}") from error


def _turns(chunks: list[dict[str, Any]], seconds: float) -> tuple[Span, ...]:
    """Return the turns of chunks, clipped to the track: the detector's last frame may extend beyond its end."""
    spans = (turn for chunk in chunks for turn in chunk["segments"])
    clipped = ((round(float(start), 3), round(min(float(end), seconds), 3)) for start, end in spans)
    return tuple((start, end) for start, end in clipped if start < end)


def _is_spoken(segment: dict[str, Any]) -> bool:
    return is_speech(segment["text"], segment["avg_logprob"], segment["no_speech"])


def _segment(segment: dict[str, Any], seconds: float) -> SpeechSegment:
    end = min(segment["end"], round(seconds, 3))
    return SpeechSegment(segment["start"], end, segment["text"], math.exp(min(0.0, segment["avg_logprob"])))
