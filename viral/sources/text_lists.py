"""Lists of texts: those laid over a picture, and the names of effects."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa

from viral.sources.hashtags import parse_literal
from viral.sources.values import NULL_SPELLINGS

_NUMBERS = re.compile(r"\d+(?:\s*,\s*\d+)+")  # identifiers of effects in TikTok's app; other texts may hold commas
_NAMES = ("stickerText", "text_info", "sticker_name", "effect_name", "name")
"""Keys of the text in the objects of exporters, as of a table whose cells are JSON."""


def parse_text_lists(values: Sequence[Any]) -> pa.Array:
    """Texts of each row, in order, each once, with single blanks: list<string> (N,), null where there is none.

    A value is a text, a list of texts or objects, or such a list as JSON or Python.
    """
    lists = [list(dict.fromkeys(filter(None, map(_clean, _texts(_parsed(value)))))) or None for value in values]
    return pa.array(lists, pa.list_(pa.string()))


def _parsed(value: Any) -> Any:
    """The list that a text holds; or else the value itself."""
    if isinstance(value, str) and value.lstrip().startswith("["):
        # A sticker may begin with a bracket without being a list.
        return parse_literal(value) or value
    return value.split(",") if isinstance(value, str) and _NUMBERS.fullmatch(value.strip()) else value


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        yield from _texts(next((value[name] for name in _NAMES if value.get(name)), None))
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)
    elif isinstance(value, str | int) and not isinstance(value, bool):
        yield str(value)


def _clean(text: str) -> str:
    joined = " ".join(text.split()).encode("utf-8", "replace").decode()  # JSON may hold half a surrogate pair
    return "" if joined.lower() in NULL_SPELLINGS else joined
