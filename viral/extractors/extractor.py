"""The extractor protocol: decoded posts in, one vector per post out, optionally with a note."""

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

OPENING_SECONDS = 3.0  # the hook, with the length that `media.requests.hook` has


@dataclass(frozen=True)
class VectorWithNote:
    """A vector, and a note about the post in words, for example a timed transcript.

    The note is JSON-serialisable. The feature table stores it beside the vector for people and search; models never
    see it.
    """

    vector: Vector
    note: Mapping[str, Any]


ExtractorOutput = Vector | VectorWithNote | None
"""Output for one post; None if the post lacks the extractor's modality."""


@dataclass(frozen=True)
class Context:
    """A post's facts at the moment of posting: with the video itself, all that a model may see.

    It has no field for counts that arise after posting, so none can leak into a feature. `sound_posts_before` counts
    earlier posts of the same root with the sound, `sound_uses_before` earlier uses anywhere.
    """

    caption: str | None = None
    hashtags: tuple[str, ...] | None = None
    posted_at: datetime | None = None
    author_followers: int | None = None
    sound_original: bool | None = None
    sound_posts_before: int | None = None
    sound_uses_before: int | None = None


@dataclass(frozen=True)
class PostInput:
    """Extractor input of a post; `media` is None for a text-only post."""

    media: Media | None
    context: Context = field(default_factory=Context)


@runtime_checkable
class Extractor(Protocol):
    """Turns posts into vectors. Creating an instance may load weights; importing its module may not."""

    @property
    def name(self) -> str:
        """Its column in the feature table, and its stream in a model."""

    @property
    def modality(self) -> str:
        """The modality shown to users: `metadata`, `text`, `audio`, `editing`, `image`, `video`, `screen`, `faces`."""

    @property
    def dim(self) -> int:
        """The length of its vectors."""

    @property
    def version(self) -> str:
        """Changes whenever the same input would give another vector; part of the feature set's fingerprint."""

    @property
    def has_note(self) -> bool:
        """Whether it returns `VectorWithNote`; its feature table then has a column of notes."""

    @property
    def needs(self) -> tuple[Request, ...]:
        """The media requests for the decoder; empty for an extractor that uses the context only."""

    def __call__(self, batch: Sequence[PostInput]) -> Sequence[ExtractorOutput]:
        """Return one vector (dim,) per post, finite; None if the post lacks this modality."""
        ...
