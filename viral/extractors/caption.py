"""Sentence embedding of the caption."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from viral.extractors.extractor import PostInput, Vector
from viral.extractors.sentences import SENTENCE_DIM, sentence_encoder
from viral.extractors.spec import Encode, ExtractorSpec, Resolver


@dataclass(frozen=True, kw_only=True)
class Caption(ExtractorSpec):
    """The caption's all-MiniLM-L6-v2 embedding, of unit length; absent if the caption is missing or blank."""

    name: ClassVar[str] = "caption"
    modality: ClassVar[str] = "text"
    dim: ClassVar[int] = SENTENCE_DIM
    revision: ClassVar[str] = "1"

    def load(self, device: str, resolve: Resolver) -> Encode:
        """Load the sentence transformer from the installed wheel."""
        embed = sentence_encoder(device)

        def encode(post: PostInput) -> Vector | None:
            caption = (post.context.caption or "").strip()
            return embed(caption) if caption else None

        return encode
