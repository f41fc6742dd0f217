"""What is said and written: transcript and caption together, as a sentence embedding."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from viral.extractors.extractor import Sample, Vector
from viral.extractors.sentences import SENTENCE_DIM, sentence_encoder
from viral.extractors.spec import Encode, Resolve
from viral.extractors.spoken import SpokenSpec


@dataclass(frozen=True, kw_only=True)
class Words(SpokenSpec):
    """The all-MiniLM-L6-v2 embedding of the caption and, behind it, the transcript; absent where there is neither.

    Of long speech the beginning counts (see `sentence_encoder`). Beside `speech` with the same parameters it costs no
    second transcription.
    """

    name: ClassVar[str] = "words"
    modality: ClassVar[str] = "text"
    dim: ClassVar[int] = SENTENCE_DIM
    revision: ClassVar[str] = "1"

    def load(self, device: str, resolve: Resolve) -> Encode:
        """Load WhisperX and the sentence transformer. Raises ConfigError and WeightsError."""
        transcribe, embed = self.transcriber(device), sentence_encoder(device)

        def encode(sample: Sample) -> Vector | None:
            transcript = transcribe(sample)
            said = "" if transcript is None else transcript.text
            text = f"{(sample.context.caption or '').strip()}\n{said}".strip()
            return embed(text) if text else None

        return encode
