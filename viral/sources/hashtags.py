"""Hashtags from lists, from text, or from the caption."""

from __future__ import annotations

import ast
import html
import json
import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Any

import pyarrow as pa

_HASHES = "#\uff03"  # ASCII and full-width
# A hashtag ends at white space or punctuation. Characters are excluded rather than listed, because letters, Indic
# marks, emoji and joiners (U+200C, U+200D) all occur in hashtags. Commas of Arabic, Armenian and Ethiopic end one, too.
_END = (
    r"\s#\uff03!-/:-@\[-^`{-~¡¦§«»¿\u2010-\u2027\u2030-\u205e\u3001-\u3004\u3008-\u3020\uff01-\uff0f\uff1a-\uff20"
    r"\u055d\u060c\u061b\u061f\u06d4\u0964\u0965\u1363\ufe10-\ufe19\ufe50-\ufe6b\uff3b-\uff40\uff5b-\uff65"
)
_TAG = re.compile(rf"[{_HASHES}]([^{_END}]+)")
_ADDRESS = re.compile(r"(?:https?://|www\.)\S+", re.IGNORECASE)  # its fragment is no hashtag
_SEPARATORS = re.compile(
    rf"[\s,;|/{_HASHES}\[\]{{}}'\"\u060c\u3001\uff0c\uff1b]+"
)  # also lists of Python, JSON, PostgreSQL
_NAMES = ("hashtagName", "hashtag_name", "name", "title", "cha_name", "text", "hashtag")
"""Keys of the tag in the objects that sites use."""
_MISSING = ("nan", "none", "null", "[]", "{}")


def parse_hashtags(values: Sequence[Any] | None, captions: pa.Array) -> pa.Array:
    """Hashtags of each post: lower case, without `#`, in order, unique, in Unicode's composed form.

    Where the file lists none, they are taken from the caption, because not every scraper lists them. The result is null
    where both are missing, and an empty list where the caption has no hashtag.
    """
    in_captions = [None if text is None else _normalise(_in_caption(text)) for text in captions.to_pylist()]
    listed = [_normalise(_names(value)) for value in values] if values is not None else [[]] * len(in_captions)
    return pa.array([own or found for own, found in zip(listed, in_captions, strict=True)], pa.list_(pa.string()))


def _in_caption(text: str) -> list[str]:
    # Entities first: `&#39;` would otherwise yield the tag `39`.
    return _TAG.findall(_ADDRESS.sub(" ", html.unescape(text) if "&" in text else text))


def _names(value: Any) -> Iterator[str]:
    """Names of tags in a text, an object, or a list of either."""
    if isinstance(value, dict):
        yield from (str(value[name]) for name in _NAMES if value.get(name) and isinstance(value[name], str | int))
    elif isinstance(value, list):
        for item in value:
            yield from _names(item) if isinstance(item, dict | list) else [str(item)] if item else []
    elif isinstance(value, str) and value.strip().lower() not in _MISSING:
        # Only a text with objects in it is parsed: the separators below also take lists apart.
        parsed = parse_literal(value) if "{" in value and ":" in value else []
        yield from (
            _names(parsed)
            if any(isinstance(item, dict) for item in parsed)
            else _SEPARATORS.split(html.unescape(value))
        )


def parse_literal(text: str) -> list[object]:
    """Parse a text as a literal of JSON or Python, as a list; empty if it is neither."""
    # pandas writes lists of objects in Python's notation, with single quotes.
    for read in (json.loads, ast.literal_eval):
        with suppress(ValueError, SyntaxError, RecursionError, MemoryError):
            value = read(text)
            return value if isinstance(value, list) else [value]
    return []


def _normalise(tags: Iterable[str]) -> list[str]:
    # Composed first, so that the same word typed in two ways is one tag.
    stripped = [_composed(tag).strip().lstrip(_HASHES).lower() for tag in tags]
    return list(dict.fromkeys(tag for tag in stripped if tag))  # unique, in order


def _composed(tag: str) -> str:
    tag = html.unescape(tag) if "&" in tag else tag
    return tag if tag.isascii() else unicodedata.normalize("NFC", tag)
