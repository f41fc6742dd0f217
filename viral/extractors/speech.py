"""How a video speaks: how much, how fast, when it begins, how clearly and in which language; and what it says."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from viral.extractors.alignment import KNOWN_ALIGNERS, NEEDED, Aligners
from viral.extractors.extractor import Sample, Told
from viral.extractors.model_folder import folder_identity, model_folder
from viral.extractors.spec import Encode, Resolve
from viral.extractors.spoken import SpokenSpec
from viral.extractors.transcript import Transcript
from viral.extractors.transcription import TRACK

_OPENING_SECONDS = 3.0
_PAUSE_SECONDS = 0.3  # shorter silences are within words or between them

LANGUAGES = ("en", "es", "pt", "fr", "de", "it", "ru", "tr", "ar", "hi", "id", "vi", "th", "ja", "ko", "zh")

SPEECH_COLUMNS = (
    "share",
    "opening_share",
    "begins",
    "turns_per_minute",
    "pause_mean",
    "pause_max",
    "words_per_second",
    "log_words",
    "confidence_mean",
    "confidence_min",
    "language_confidence",
    *(f"language_{code}" for code in LANGUAGES),
    "language_other",
)
"""The columns of the vector. `share` is that of the track in which someone speaks, `opening_share` that of its first
3 s, `begins` when the first word comes, in seconds. A pause is a silence of at least 0.3 s between two turns, in
seconds, 0 where there is none. Words are counted by the second of speech, and as log(words + 1). A segment's confidence
is the geometric mean of its tokens' probability; the mean over segments is by their length. One language is 1, the
others 0. All but words, confidence and language are by voice activity alone, whatever the weights."""


@dataclass(frozen=True, kw_only=True)
class Speech(SpokenSpec):
    """`SPEECH_COLUMNS` by WhisperX, and the transcript as a note; absent where there is no sound, or no speech in it.

    The note holds `text`, `language`, `language_confidence`, `turns` (start and end of speech), `segments` (start, end,
    text, confidence) and, where `aligners` names one for the language, `words` (word, start, end, score). `aligners`
    gives each language a known name, or the path of a folder with a wav2vec 2.0 model; posts in other languages keep
    their segments. The vector is the same with aligners and without.
    """

    name: ClassVar[str] = "speech"
    modality: ClassVar[str] = "speech"
    dim: ClassVar[int] = len(SPEECH_COLUMNS)
    columns: ClassVar[tuple[str, ...]] = SPEECH_COLUMNS
    revision: ClassVar[str] = "1"
    tells: ClassVar[bool] = True

    aligners: dict[str, str] = field(default_factory=dict, hash=False)

    def identity(self, resolve: Resolve) -> dict[str, Any]:
        """The parameters, with weights and aligners by what they are. Raises WeightsError."""
        aligners = {
            language: folder_identity(each, KNOWN_ALIGNERS, NEEDED, resolve) for language, each in self.aligners.items()
        }
        return super().identity(resolve) | {"aligners": aligners}

    def check(self, resolve: Resolve) -> None:
        """Make sure that the weights and all aligners are there. Raises WeightsError."""
        super().check(resolve)
        for each in self.aligners.values():
            model_folder(each, KNOWN_ALIGNERS, NEEDED, resolve)

    def load(self, device: str, resolve: Resolve) -> Encode:
        """Load WhisperX; aligners follow when they are needed. Raises ConfigError and WeightsError."""
        folders = {
            language: model_folder(each, KNOWN_ALIGNERS, NEEDED, resolve) for language, each in self.aligners.items()
        }
        transcribe, align = self.transcriber(device, resolve), Aligners(folders, device)

        def encode(sample: Sample) -> Told | None:
            transcript = transcribe(sample)
            audio = sample.media.audio(TRACK) if sample.media else None
            if transcript is None or audio is None:
                return None
            return Told(_vector(transcript), _note(transcript, align(transcript, audio.samples)))

        return encode


def _vector(heard: Transcript) -> np.ndarray[Any, np.dtype[np.float32]]:
    opening = min(_OPENING_SECONDS, heard.seconds)
    pauses = [pause for pause in heard.pauses if pause >= _PAUSE_SECONDS]
    lengths = np.array([max(each.end - each.start, 1e-3) for each in heard.segments] or [1.0])
    confidences = np.array([each.confidence for each in heard.segments] or [0.0])
    values = [
        heard.spoken() / heard.seconds,
        heard.spoken(opening) / opening,
        heard.turns[0][0],
        60 * (len(pauses) + 1) / heard.seconds,
        float(np.mean(pauses)) if pauses else 0.0,
        max(pauses, default=0.0),
        heard.words / heard.spoken(),
        math.log1p(heard.words),
        float(np.average(confidences, weights=lengths)),
        confidences.min(),
        heard.language_confidence,
        *(float(heard.language == code) for code in LANGUAGES),
        float(heard.language not in LANGUAGES),
    ]
    return np.array(values, dtype=np.float32)


def _note(heard: Transcript, words: list[dict[str, Any]] | None) -> dict[str, Any]:
    note = {
        "text": heard.text,
        "language": heard.language,
        "language_confidence": round(heard.language_confidence, 4),
        "turns": heard.turns,
        "segments": [
            {"start": each.start, "end": each.end, "text": each.text, "confidence": round(each.confidence, 4)}
            for each in heard.segments
        ],
    }
    return note if words is None else note | {"words": words}
