"""How popular a post's sound was before the post."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from viral.extractors.extractor import Sample, Vector
from viral.extractors.spec import Encode, ExtractorSpec, Resolve

POPULARITY_COLUMNS = ("log_posts_before", "posts_known", "log_uses_before", "uses_known")
"""The columns of the vector: log(1 + x) of the root's own posts with that sound before this one, and of the uses that a
scrape before it had told of; each with a flag that is 1 where the number is known, which is 0 otherwise."""


@dataclass(frozen=True, kw_only=True)
class Popularity(ExtractorSpec):
    """The popularity of the sound at the moment of posting, as `POPULARITY_COLUMNS`; absent where nothing is known.

    In a backfill it comes from the table that `python -m jobs.sounds` makes of the posts.
    """

    name: ClassVar[str] = "popularity"
    modality: ClassVar[str] = "metadata"
    dim: ClassVar[int] = len(POPULARITY_COLUMNS)
    columns: ClassVar[tuple[str, ...]] = POPULARITY_COLUMNS
    revision: ClassVar[str] = "1"

    def load(self, device: str, resolve: Resolve) -> Encode:
        """There is nothing to load."""
        return _encode


def _encode(sample: Sample) -> Vector | None:
    posts, uses = sample.context.sound_posts_before, sample.context.sound_uses_before
    if posts is None and uses is None:
        return None
    columns = [math.log1p(posts or 0), float(posts is not None), math.log1p(uses or 0), float(uses is not None)]
    return np.array(columns, dtype=np.float32)
