"""Metadata features: posting time, author, form of the caption, and facts about the file."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, ClassVar, TypeVar

import numpy as np

from viral.extractors.extractor import Context, PostInput, Vector
from viral.extractors.lexicon import HASHTAG, MENTION, SECOND_PERSON, split_words
from viral.extractors.spec import Encode, ExtractorSpec, Resolver
from viral.media.media import Facts, Media

_TIME = ("hour_sin", "hour_cos", "weekday_sin", "weekday_cos")
_CAPTION = (
    "log_words",
    "log_characters",
    "log_mentions",
    "log_emoji",
    "log_questions",
    "log_exclamations",
    "upper_case_share",
    "second_person",
)
_FILE = ("duration_seconds", "log_duration")
_PICTURE = ("aspect_ratio",)

METADATA_COLUMNS = (
    *_TIME,
    "time_known",
    *_CAPTION,
    "caption_known",
    "log_hashtags",
    "hashtags_known",
    "log_followers",
    "followers_known",
    "sound_original",
    "sound_known",
    *_FILE,
    "duration_known",
    *_PICTURE,
    "size_known",
    "has_audio",
    "media_known",
)
"""The columns of the vector. `log_x` is log(1 + x); hours and weekdays are in UTC; `aspect_ratio` is width by height; a
`_known` flag is 1 if the columns before it are known, otherwise they and the flag are 0."""

_T = TypeVar("_T")

_PICTOGRAM = "[\U0001f300-\U0001faff\u2600-\u27bf\u2b05-\u2b55\u231a-\u23ff]"
_EMOJI = re.compile(
    # Two regional indicators are one flag; a modifier, variation selector or joiner continues the same emoji.
    f"[\U0001f1e6-\U0001f1ff]{{2}}|{_PICTOGRAM}(?:\ufe0f|[\U0001f3fb-\U0001f3ff]|\u200d{_PICTOGRAM})*"
)


@dataclass(frozen=True, kw_only=True)
class Metadata(ExtractorSpec):
    """Posting time, form of the caption, the author's followers and facts about the file, as `METADATA_COLUMNS`.

    Absent if the post has neither media nor context. With `author=False`, the author's followers are left out.
    """

    author: bool = True

    name: ClassVar[str] = "metadata"
    modality: ClassVar[str] = "metadata"
    dim: ClassVar[int] = len(METADATA_COLUMNS)
    columns: ClassVar[tuple[str, ...]] = METADATA_COLUMNS
    revision: ClassVar[str] = "1"

    def identity(self, resolve: Resolver) -> dict[str, Any]:
        """The parameters; none for the default, to keep the fingerprints from before `author` existed."""
        return {} if self.author else self.params()

    def load(self, device: str, resolve: Resolver) -> Encode:
        """Return the encoder; there is nothing to load."""
        return _encode if self.author else _encode_anonymous


def _encode_anonymous(post: PostInput) -> Vector | None:
    return _encode(replace(post, context=replace(post.context, author_followers=None)))


def _encode(post: PostInput) -> Vector | None:
    if post.media is None and replace(post.context, sticker_texts=None) == Context():  # its columns need none
        return None
    values = _context_columns(post.context) | _media_columns(post.media)
    return np.array([values[column] for column in METADATA_COLUMNS], dtype=np.float32)


def _context_columns(context: Context) -> dict[str, float]:
    # An exporter's list, also an empty one, goes before the caption's own.
    hashtags = context.hashtags
    if hashtags is None and context.caption is not None:
        hashtags = tuple(HASHTAG.findall(context.caption))
    return {
        **_columns(context.posted_at, _TIME, "time_known", _clock),
        **_columns(context.caption, _CAPTION, "caption_known", _caption_form),
        **_columns(hashtags, ("log_hashtags",), "hashtags_known", lambda tags: [math.log1p(len(tags))]),
        **_columns(context.author_followers, ("log_followers",), "followers_known", lambda n: [math.log1p(max(n, 0))]),
        **_columns(context.sound_original, ("sound_original",), "sound_known", lambda original: [float(original)]),
    }


def _media_columns(media: Media | None) -> dict[str, float]:
    facts = media.facts if media else Facts()
    seconds = facts.seen_seconds or facts.declared_seconds
    size = (facts.width, facts.height) if facts.width and facts.height else None
    return {
        **_columns(seconds, _FILE, "duration_known", lambda s: [s, math.log1p(s)]),
        **_columns(size, _PICTURE, "size_known", lambda wh: [wh[0] / wh[1]]),
        **_columns(media, ("has_audio",), "media_known", lambda m: [float(m.facts.audio_codec is not None)]),
    }


def _columns(
    value: _T | None, columns: tuple[str, ...], flag: str, to_numbers: Callable[[_T], list[float]]
) -> dict[str, float]:
    numbers = [0.0] * len(columns) if value is None else to_numbers(value)
    return {**dict(zip(columns, numbers, strict=True)), flag: float(value is not None)}


def _clock(posted_at: datetime) -> list[float]:
    time = posted_at.astimezone(UTC) if posted_at.tzinfo else posted_at  # UTC without a zone, as in the posts table
    # On a circle: 23 h is as near to midnight as 1 h.
    hour = 2 * math.pi * (time.hour + time.minute / 60) / 24
    weekday = 2 * math.pi * time.weekday() / 7
    return [math.sin(hour), math.cos(hour), math.sin(weekday), math.cos(weekday)]


def _caption_form(caption: str) -> list[float]:
    words = split_words(caption)
    letters = [letter for letter in caption if letter.isalpha()]
    counts = (
        len(words),
        len(caption.strip()),
        len(MENTION.findall(caption)),
        len(_EMOJI.findall(caption)),
        sum(caption.count(mark) for mark in "?\uff1f¿"),
        sum(caption.count(mark) for mark in "!\uff01¡"),
    )
    upper = sum(map(str.isupper, letters)) / len(letters) if letters else 0.0
    return [*map(math.log1p, counts), upper, float(not SECOND_PERSON.isdisjoint(words))]
