"""Popularity of a post's sound before the post."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from viral.extractors.extractor import PostInput, Vector
from viral.extractors.spec import Encode, ExtractorSpec, Resolver

POPULARITY_COLUMNS = ("log_posts_before", "posts_known", "log_uses_before", "uses_known")
"""The columns of the vector: log(1 + x) of the number of earlier posts in the root with the sound, and of earlier uses
anywhere, each followed by a flag. The flag is 1 if the number is known; an unknown number is 0."""


@dataclass(frozen=True, kw_only=True)
class Popularity(ExtractorSpec):
    """The popularity of the sound at the moment of posting, as `POPULARITY_COLUMNS`; absent if unknown.

    A backfill reads the numbers from the table that `viral sounds` derives from the posts.
    """

    name: ClassVar[str] = "popularity"
    modality: ClassVar[str] = "metadata"
    dim: ClassVar[int] = len(POPULARITY_COLUMNS)
    columns: ClassVar[tuple[str, ...]] = POPULARITY_COLUMNS
    revision: ClassVar[str] = "1"

    def load(self, device: str, resolve: Resolver) -> Encode:
        """Return the encoder; there is nothing to load."""
        return _encode


def _encode(post: PostInput) -> Vector | None:
    posts, uses = post.context.sound_posts_before, post.context.sound_uses_before
    if posts is None and uses is None:
        return None
    columns = [math.log1p(posts or 0), float(posts is not None), math.log1p(uses or 0), float(uses is not None)]
    return np.array(columns, dtype=np.float32)
