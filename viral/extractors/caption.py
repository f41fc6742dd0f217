"""The meaning of the caption, as a sentence embedding."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from viral.extractors.extractor import Sample, Vector
from viral.extractors.sentences import SENTENCE_DIM, sentence_encoder
from viral.extractors.spec import Encode, ExtractorSpec, Resolve


@dataclass(frozen=True, kw_only=True)
class Caption(ExtractorSpec):
    """The caption's all-MiniLM-L6-v2 embedding, of length one; absent when there is no caption or only white space."""

    name: ClassVar[str] = "caption"
    modality: ClassVar[str] = "text"
    dim: ClassVar[int] = SENTENCE_DIM
    revision: ClassVar[str] = "1"

    def load(self, device: str, resolve: Resolve) -> Encode:
        """Load the sentence transformer from the installed wheel."""
        embed = sentence_encoder(device)

        def encode(sample: Sample) -> Vector | None:
            caption = (sample.context.caption or "").strip()
            return embed(caption) if caption else None

        return encode
