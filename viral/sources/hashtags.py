"""Hashtags from a column of lists, a column of text, or the caption."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterable
from contextlib import suppress

import pyarrow as pa

_HASHES = "#\uff03"  # ASCII and full-width
# A hashtag ends at white space or punctuation. Characters are excluded rather than listed, because letters, Indic
# marks, emoji and joiners (U+200C, U+200D) all occur in hashtags.
_END = r"\s#\uff03!-/:-@\[-^`{-~¡¦§«»¿\u2010-\u2027\u2030-\u205e\u3001-\u3004\u3008-\u3020\uff01-\uff0f\uff1a-\uff20"
_TAG = re.compile(rf"[{_HASHES}]([^{_END}]+)")
_SEPARATORS = re.compile(rf"[\s,;|{_HASHES}\[\]{{}}'\"]+")  # covers lists of Python, JSON and PostgreSQL as text
_NAMES = ("name", "title", "hashtagName", "text")  # keys of the tag in the objects that sites use


def parse_hashtags(column: pa.Array | None, captions: pa.Array) -> pa.Array:
    """Hashtags of each post: lower case, without `#`, in order, unique.

    Where the column has none, they are taken from the caption, because not every scraper lists them. The result is null
    where both are missing, and an empty list where the caption has no hashtag.
    """
    in_captions = [None if text is None else _normalise(_TAG.findall(text)) for text in captions.to_pylist()]
    in_column = _from_column(column) if column is not None else [None] * len(in_captions)
    tags = [own or fallback for own, fallback in zip(in_column, in_captions, strict=True)]
    return pa.array(tags, pa.list_(pa.string()))


def _from_column(column: pa.Array) -> list[list[str] | None]:
    """Hashtags from lists, or from text separated by commas or spaces; None for null or empty values."""
    split = (_split(value) if isinstance(value, str) else value for value in column.to_pylist())
    return [(_normalise(value) or None) if value else None for value in split]  # fall back to the caption


def _split(text: str) -> list[str | None]:
    """Split a text into hashtags; JSON objects give their names."""
    objects = [item for item in _literal(text) if isinstance(item, dict)] if "{" in text and ":" in text else []
    if objects:
        return [next((str(item[name]) for name in _NAMES if item.get(name)), None) for item in objects]
    return [*_SEPARATORS.split(text)]


def _literal(text: str) -> list[object]:
    """Parse a text as a literal of JSON or Python, as a list; empty if it is neither."""
    for read in (json.loads, ast.literal_eval):
        with suppress(ValueError, SyntaxError, RecursionError, MemoryError):
            value = read(text)
            return value if isinstance(value, list) else [value]
    return []


def _normalise(tags: Iterable[str | None]) -> list[str]:
    stripped = (tag.strip().lstrip(_HASHES).lower() for tag in tags if tag)
    return list(dict.fromkeys(tag for tag in stripped if tag))  # unique, in order
