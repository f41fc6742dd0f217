"""Hashtags: from a column of lists, a column of text, or the caption."""

from __future__ import annotations

import re
from collections.abc import Iterable

import pyarrow as pa

_HASHES = "#\uff03"
# A hashtag runs to the next white space or punctuation. Said by what it may not hold, since letters, marks of Indic
# scripts, emoji and joiners (U+200C, U+200D) all belong to hashtags that people use.
_END = r"\s#\uff03!-/:-@\[-^`{-~¡¦§«»¿\u2010-\u2027\u2030-\u205e\u3001-\u3004\u3008-\u3020\uff01-\uff0f\uff1a-\uff20"
_TAG = re.compile(rf"[{_HASHES}]([^{_END}]+)")
_SEPARATORS = re.compile(rf"[\s,;|{_HASHES}\[\]'\"]+")


def from_captions(captions: pa.Array) -> list[list[str] | None]:
    """The hashtags written in each caption; None where there is no caption."""
    return [None if caption is None else _clean(_TAG.findall(caption)) for caption in captions.to_pylist()]


def from_column(column: pa.Array) -> list[list[str] | None]:
    """The hashtags of a column of lists, or of text that separates them by comma or space; None where null or empty."""
    split = (_SEPARATORS.split(value) if isinstance(value, str) else value for value in column.to_pylist())
    return [(_clean(value) or None) if value else None for value in split]


def hashtags(column: pa.Array | None, captions: pa.Array) -> pa.Array:
    """The hashtags of each post, lower case, without `#`, in order, each once.

    Where the column names none, those of the caption count: scrapers differ in where they leave them. Null where
    neither is known, an empty list where the caption holds none.
    """
    written = from_captions(captions)
    listed = from_column(column) if column is not None else [None] * len(written)
    return pa.array([mine or theirs for mine, theirs in zip(listed, written, strict=True)], pa.list_(pa.string()))


def _clean(tags: Iterable[str | None]) -> list[str]:
    stripped = (tag.strip().lstrip(_HASHES).lower() for tag in tags if tag)
    return list(dict.fromkeys(tag for tag in stripped if tag))
