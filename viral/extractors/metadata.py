"""What is known of a post besides its pictures and sound: when, by whom, in what words, how long."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, ClassVar, TypeVar

import numpy as np

from viral.extractors.extractor import Context, Sample, Vector
from viral.extractors.lexicon import HASHTAG, MENTION, SECOND_PERSON, words_of
from viral.extractors.spec import Encode, ExtractorSpec, Resolve
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
"""The columns of the vector. `log_x` is log(1 + x); hours and weekdays are those of UTC; the aspect ratio is width by
height; the known-flags are 1 where the columns before them are known, which are 0 otherwise."""

_T = TypeVar("_T")

_PICTOGRAM = "[\U0001f300-\U0001faff\u2600-\u27bf\u2b05-\u2b55\u231a-\u23ff]"
_EMOJI = re.compile(
    # Two regional indicators are one flag; a modifier, a variation selector or a joiner goes on with the same emoji.
    f"[\U0001f1e6-\U0001f1ff]{{2}}|{_PICTOGRAM}(?:\ufe0f|[\U0001f3fb-\U0001f3ff]|\u200d{_PICTOGRAM})*"
)


@dataclass(frozen=True, kw_only=True)
class Metadata(ExtractorSpec):
    """Posting time, the caption's form, the author's reach and the file's facts, as `METADATA_COLUMNS`.

    Nothing that exists only after posting: `Context` has no field for it. Absent when nothing at all is known.

    Args:
        author: whether the author's reach is told; without it a model sees the post alone.
    """

    author: bool = True

    name: ClassVar[str] = "metadata"
    modality: ClassVar[str] = "metadata"
    dim: ClassVar[int] = len(METADATA_COLUMNS)
    columns: ClassVar[tuple[str, ...]] = METADATA_COLUMNS
    revision: ClassVar[str] = "1"

    def identity(self, resolve: Resolve) -> dict[str, Any]:
        """Its parameters; with the author's reach, as ever, there is none to tell."""
        return {} if self.author else self.params()

    def load(self, device: str, resolve: Resolve) -> Encode:
        """There is nothing to load."""
        return _encode if self.author else _encode_anonymous


def _encode_anonymous(sample: Sample) -> Vector | None:
    return _encode(replace(sample, context=replace(sample.context, author_followers=None)))


def _encode(sample: Sample) -> Vector | None:
    if sample.media is None and sample.context == Context():
        return None
    values = _context_columns(sample.context) | _media_columns(sample.media)
    return np.array([values[column] for column in METADATA_COLUMNS], dtype=np.float32)


def _context_columns(context: Context) -> dict[str, float]:
    hashtags = context.hashtags
    if hashtags is None and context.caption is not None:
        hashtags = tuple(HASHTAG.findall(context.caption))
    return {
        **_known(context.posted_at, _TIME, "time_known", _clock),
        **_known(context.caption, _CAPTION, "caption_known", _wording),
        **_known(hashtags, ("log_hashtags",), "hashtags_known", lambda tags: [math.log1p(len(tags))]),
        **_known(context.author_followers, ("log_followers",), "followers_known", lambda n: [math.log1p(max(n, 0))]),
        **_known(context.sound_original, ("sound_original",), "sound_known", lambda original: [float(original)]),
    }


def _media_columns(media: Media | None) -> dict[str, float]:
    facts = media.facts if media else Facts()
    seconds = facts.seen_seconds or facts.declared_seconds
    size = (facts.width, facts.height) if facts.width and facts.height else None
    return {
        **_known(seconds, _FILE, "duration_known", lambda s: [s, math.log1p(s)]),
        **_known(size, _PICTURE, "size_known", lambda wh: [wh[0] / wh[1]]),
        **_known(media, ("has_audio",), "media_known", lambda m: [float(m.facts.audio_codec is not None)]),
    }


def _known(value: _T | None, columns: tuple[str, ...], flag: str, of: Callable[[_T], list[float]]) -> dict[str, float]:
    numbers = [0.0] * len(columns) if value is None else of(value)
    return {**dict(zip(columns, numbers, strict=True)), flag: float(value is not None)}


def _clock(posted_at: datetime) -> list[float]:
    # A time without a zone is taken for UTC, as the posts table has it.
    at = posted_at.astimezone(UTC) if posted_at.tzinfo else posted_at
    hour = 2 * math.pi * (at.hour + at.minute / 60) / 24
    weekday = 2 * math.pi * at.weekday() / 7
    return [math.sin(hour), math.cos(hour), math.sin(weekday), math.cos(weekday)]


def _wording(caption: str) -> list[float]:
    words = words_of(caption)
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
