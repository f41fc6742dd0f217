"""The contract of an extractor: decoded posts in, one vector each out, and where it has something to say, a note."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from viral.media.media import Media
from viral.media.requests import Request

Vector = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Told:
    """A vector, and what its extractor has to say of the post in words: a transcript with its times, say.

    The note holds what JSON can hold. It is kept beside the vector in the feature table, for people to read and other
    systems to search; no model sees it.
    """

    vector: Vector
    note: Mapping[str, Any]


Answer = Vector | Told | None
"""What an extractor makes of a sample: None where the sample has nothing of its modality."""


@dataclass(frozen=True)
class Context:
    """What is known of a post at the moment of posting: all that a model may see besides the video itself.

    There is no field for a count that exists only after posting, so that none can leak into a feature. Of the sound
    there is what was known before: `sound_posts_before` posts of the same root, `sound_uses_before` anywhere.
    """

    caption: str | None = None
    hashtags: tuple[str, ...] | None = None
    posted_at: datetime | None = None
    author_followers: int | None = None
    sound_original: bool | None = None
    sound_posts_before: int | None = None
    sound_uses_before: int | None = None


@dataclass(frozen=True)
class Sample:
    """One post on its way through the extractors. `media` is None when there is no video (a draft's text alone)."""

    media: Media | None
    context: Context = field(default_factory=Context)


@runtime_checkable
class Extractor(Protocol):
    """Turns samples into vectors. Instances hold weights; making one may load them, importing its module may not."""

    @property
    def name(self) -> str:
        """The name of its column in the feature table, and of its stream in a model."""

    @property
    def modality(self) -> str:
        """What a user calls it: `metadata`, `text`, `audio`, `editing`, `image`, `video`, `screen`, `faces`."""

    @property
    def dim(self) -> int:
        """The length of its vectors."""

    @property
    def version(self) -> str:
        """Changes whenever the same input would give another vector; part of the feature set's fingerprint."""

    @property
    def tells(self) -> bool:
        """Whether it answers with `Told`: its feature table then has a column for its notes."""

    @property
    def needs(self) -> tuple[Request, ...]:
        """What it asks of the decode pass; empty when it looks at the context alone."""

    def __call__(self, batch: Sequence[Sample]) -> Sequence[Answer]:
        """One vector (dim,) for each sample, finite; None where the sample has nothing of this modality."""
        ...
