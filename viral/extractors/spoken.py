"""What extractors that listen to speech share: which Whisper model hears it, and how."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from viral.extractors.model_folder import folder_identity, model_folder
from viral.extractors.spec import ExtractorSpec, Resolve
from viral.extractors.transcription import TRACK, Precision, Transcriber, transcriber
from viral.media.requests import AudioTrack

KNOWN_WHISPER = ("whisper-tiny", "whisper-base", "whisper-small", "whisper-large-v3")
"""The names that `weights` may take, all in `KNOWN_WEIGHTS`; the transcript is as good as the weights are."""

_NEEDED = ("config.json", "model.bin", "tokenizer.json", "vocabulary.*")
"""Without its tokenizer faster-whisper would ask the hub for one."""


@dataclass(frozen=True, kw_only=True)
class SpokenSpec(ExtractorSpec):
    """An extractor of what is said. `weights` is a known name, or the path of a folder in CTranslate2's format.

    Those with the same parameters in one set share models and transcripts.
    """

    weights: str = "whisper-small"
    language: str | None = None
    """Whisper's code (`en`, `vi`) of the language that all posts speak; by default it is heard, post by post."""
    precision: Precision = "float32"

    @property
    def needs(self) -> tuple[AudioTrack]:
        """The track at 16,000 Hz."""
        return (TRACK,)

    def identity(self, resolve: Resolve) -> dict[str, Any]:
        """The parameters, with weights from a folder named by the SHA-256 of its files. Raises WeightsError."""
        return self.params() | {"weights": folder_identity(self.weights, KNOWN_WHISPER, _NEEDED)}

    def check(self, resolve: Resolve) -> None:
        """Make sure that the weights are there. Raises WeightsError."""
        model_folder(self.weights, KNOWN_WHISPER, _NEEDED)

    def transcriber(self, device: str) -> Transcriber:
        """What transcribes for it. Raises ConfigError and WeightsError."""
        return transcriber(model_folder(self.weights, KNOWN_WHISPER, _NEEDED), device, self.language, self.precision)
