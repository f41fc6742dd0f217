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

OPENING_SECONDS = 3.0  # the hook; the default of `media.requests.hook`


@dataclass(frozen=True)
class VectorWithNote:
    """A vector with a JSON-serialisable note about the post, for example a timed transcript.

    The feature table stores notes for people and search; models never see them.
    """

    vector: Vector
    note: Mapping[str, Any]


ExtractorOutput = Vector | VectorWithNote | None
"""Output for one post; None if the post lacks the extractor's modality."""


@dataclass(frozen=True)
class Context:
    """Facts known at the moment of posting: besides the video itself, the only input of a model.

    There is no field for counts after posting, so none can leak into a feature. `sound_posts_before` counts earlier
    posts of the same root with the sound, `sound_uses_before` earlier uses anywhere. `subtitles` is the platform's own
    transcript, which depends on the video alone; `sticker_texts` are those laid over the picture.
    """

    caption: str | None = None
    hashtags: tuple[str, ...] | None = None
    posted_at: datetime | None = None
    author_followers: int | None = None
    sound_original: bool | None = None
    sound_posts_before: int | None = None
    sound_uses_before: int | None = None
    subtitles: str | None = None
    sticker_texts: tuple[str, ...] | None = None


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
        """Name of the column in the feature table, and of the stream in a model."""

    @property
    def modality(self) -> str:
        """Modality shown to users: metadata, text, audio, speech, editing, image, video, screen or faces."""

    @property
    def dim(self) -> int:
        """Length of the vectors."""

    @property
    def version(self) -> str:
        """Changes whenever the same input would give another vector; part of the feature set's fingerprint."""

    @property
    def has_note(self) -> bool:
        """Whether outputs are `VectorWithNote`; the feature table then has a column of notes."""

    @property
    def needs(self) -> tuple[Request, ...]:
        """The media requests for the decoder; empty for an extractor that uses the context only."""

    def __call__(self, batch: Sequence[PostInput]) -> Sequence[ExtractorOutput]:
        """Return one vector (dim,) per post, finite; None if the post lacks this modality."""
        ...
