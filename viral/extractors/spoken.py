"""Base class of extractors of speech: the Whisper model and its parameters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from viral.extractors.model_folder import folder_identity, model_folder
from viral.extractors.spec import ExtractorSpec, Resolver
from viral.extractors.transcription import TRACK, Precision, Transcriber, transcriber
from viral.media.requests import AudioTrack

WHISPER_MODELS = ("whisper-tiny.en", "whisper-tiny", "whisper-base", "whisper-small", "whisper-large-v3")
"""Allowed names for `weights`, all in `CATALOGUE`; larger models give better transcripts, `.en` is English only."""

# Without tokenizer.json faster-whisper would download one.
_REQUIRED_FILES = ("config.json", "model.bin", "tokenizer.json", "vocabulary.*")


@dataclass(frozen=True, kw_only=True)
class SpokenSpec(ExtractorSpec):
    """An extractor of speech. `weights` is a name in `WHISPER_MODELS`, or the path of a folder in CTranslate2's format.

    Extractors with the same parameters share models and transcripts.
    """

    weights: str = "whisper-small"
    language: str | None = None
    """Whisper's code (`en`, `vi`) of the language of all posts; by default it is detected per post."""
    precision: Precision = "float32"

    @property
    def needs(self) -> tuple[AudioTrack]:
        """The track at 16,000 Hz."""
        return (TRACK,)

    def identity(self, resolve: Resolver) -> dict[str, Any]:
        """The parameters; a folder of weights is identified by the SHA-256 of its files. Raises WeightsError."""
        return self.params() | {"weights": folder_identity(self.weights, WHISPER_MODELS, _REQUIRED_FILES, resolve)}

    def check(self, resolve: Resolver) -> None:
        """Check that the weights are available. Raises WeightsError."""
        model_folder(self.weights, WHISPER_MODELS, _REQUIRED_FILES, resolve)

    def transcriber(self, device: str, resolve: Resolver) -> Transcriber:
        """Return the transcriber of these parameters. Raises ConfigError and WeightsError."""
        folder = model_folder(self.weights, WHISPER_MODELS, _REQUIRED_FILES, resolve)
        return transcriber(folder, device, self.language, self.precision)
