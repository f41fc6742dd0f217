"""Speech features (amount, pace, timing, clarity and language), with the transcript as note."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from viral.extractors.alignment import ALIGNMENT_MODELS, REQUIRED_FILES, Aligners
from viral.extractors.extractor import OPENING_SECONDS, PostInput, VectorWithNote
from viral.extractors.model_folder import folder_identity, model_folder
from viral.extractors.spec import Encode, Resolver
from viral.extractors.spoken import SpokenSpec
from viral.extractors.transcript import Transcript
from viral.extractors.transcription import TRACK

_PAUSE_SECONDS = 0.3  # shorter silences occur within words or between them
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
"""The columns of the vector. `share` is the fraction of the track with speech, `opening_share` that of its first 3 s,
`begins` the start of the first turn. A pause is a silence of at least 0.3 s between two turns. Times are in seconds;
pauses are 0 if there are none. `words_per_second` refers to seconds of speech, `log_words` is log(words + 1). A
segment's confidence is the geometric mean of its token probabilities; `confidence_mean` weights segments by length. One
`language_` is 1, the others 0. Speech is voice activity in which Whisper recognised words: see `is_speech`."""


@dataclass(frozen=True, kw_only=True)
class Speech(SpokenSpec):
    """`SPEECH_COLUMNS` by WhisperX, with the transcript as note; absent without audio or speech.

    The note has `text`, `language`, `language_confidence`, `turns` (start and end), `segments` (start, end, text,
    confidence) and, if `aligners` has the language, `words` (word, start, end, score). `aligners` maps languages to
    names in `ALIGNMENT_MODELS` or folders of wav2vec 2.0 models; they do not change the vector.
    """

    name: ClassVar[str] = "speech"
    modality: ClassVar[str] = "speech"
    dim: ClassVar[int] = len(SPEECH_COLUMNS)
    columns: ClassVar[tuple[str, ...]] = SPEECH_COLUMNS
    revision: ClassVar[str] = "2"
    has_note: ClassVar[bool] = True

    aligners: dict[str, str] = field(default_factory=dict, hash=False)

    def identity(self, resolve: Resolver) -> dict[str, Any]:
        """The parameters, with weights and aligners identified by content. Raises WeightsError."""
        identify = partial(folder_identity, names=ALIGNMENT_MODELS, required=REQUIRED_FILES, resolve=resolve)
        aligners = {language: identify(name) for language, name in self.aligners.items()}
        return super().identity(resolve) | {"aligners": aligners}

    def check(self, resolve: Resolver) -> None:
        """Check that the weights and all aligners are available. Raises WeightsError."""
        super().check(resolve)
        self._aligner_folders(resolve)

    def load(self, device: str, resolve: Resolver) -> Encode:
        """Load WhisperX; aligners are loaded on first use. Raises ConfigError and WeightsError."""
        align = Aligners(self._aligner_folders(resolve), device)
        transcribe = self.transcriber(device, resolve)

        def encode(post: PostInput) -> VectorWithNote | None:
            """Transcribe the sound of a post; None without speech."""
            transcript = transcribe(post)
            audio = post.media.audio(TRACK) if post.media else None
            if transcript is None or audio is None:
                return None
            return VectorWithNote(_vector(transcript), _note(transcript, align(transcript, audio.samples)))

        return encode

    def _aligner_folders(self, resolve: Resolver) -> dict[str, Path]:
        find = partial(model_folder, names=ALIGNMENT_MODELS, required=REQUIRED_FILES, resolve=resolve)
        return {language: find(name) for language, name in self.aligners.items()}


def _vector(transcript: Transcript) -> np.ndarray[Any, np.dtype[np.float32]]:
    opening = min(OPENING_SECONDS, transcript.seconds)
    pauses = [pause for pause in transcript.pauses if pause >= _PAUSE_SECONDS]
    # Not 0: they are weights of a mean.
    lengths = np.array([max(segment.end - segment.start, 1e-3) for segment in transcript.segments] or [1.0])
    confidences = np.array([segment.confidence for segment in transcript.segments] or [0.0])
    # In the order of `SPEECH_COLUMNS`.
    values = [
        transcript.speech_seconds() / transcript.seconds,
        transcript.speech_seconds(opening) / opening,
        transcript.turns[0][0],
        60 * (len(pauses) + 1) / transcript.seconds,
        float(np.mean(pauses)) if pauses else 0.0,
        max(pauses, default=0.0),
        transcript.word_count / transcript.speech_seconds(),
        math.log1p(transcript.word_count),
        float(np.average(confidences, weights=lengths)),
        confidences.min(),
        transcript.language_confidence,
        *(float(transcript.language == code) for code in LANGUAGES),
        float(transcript.language not in LANGUAGES),
    ]
    return np.array(values, dtype=np.float32)


def _note(transcript: Transcript, words: list[dict[str, Any]] | None) -> dict[str, Any]:
    note = {
        "text": transcript.text,
        "language": transcript.language,
        "language_confidence": round(transcript.language_confidence, 4),
        "turns": transcript.turns,
        "segments": [asdict(part) | {"confidence": round(part.confidence, 4)} for part in transcript.segments],
    }
    return note if words is None else note | {"words": words}
