"""Expressions of a map: where the value of a post column comes from.

`stats.playCount` is a path of keys; `tags[].name` a value per item of an array, `images[0].url` that of one item;
`videos.*.id` goes through any key. `$.extra.now` starts at the document that holds the row, `$file` is the name of the
file, `$value` the row itself if that is no object. `A | B` is the first of these that has a value, `A + B` both with a
blank between them, and `=https://site/{author}/{id}` a text with the values of paths.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from viral.errors import ConfigError

FILE_NAME, DOCUMENT = "$file", "$"
ANY_KEY = "*"
_STEP = re.compile(r"([^\[\]]*)((?:\[\d*\])*)$")
_INDEX = re.compile(r"\[(\d*)\]")
_PLACEHOLDER = re.compile(r"\{([^{}]+)\}")

Step = str | int | None
"""A key, the index of an item, or None for every item of an array."""


class WrongShapeError(ValueError):
    """A value is an object where a single value was expected, or the reverse. Internal to `viral.sources`."""


@dataclass(frozen=True)
class Path:
    """A path into a row, as `text` writes it, such as `videos[].id`; the text may also be the title of a column."""

    text: str

    @cached_property
    def steps(self) -> tuple[Step, ...]:
        """Steps of the path. Raises ConfigError if its brackets do not match."""
        steps: list[Step] = []
        # Exporters flatten keys with dots or slashes; a map may use either.
        for part in self.text.replace("/", ".").split("."):
            match = _STEP.match(part)
            if not match:
                raise ConfigError(f"{self.text!r} is not a path: write keys and items as in videos[].id")
            steps += [match[1]] if match[1] else []
            steps += [int(index) if index else None for index in _INDEX.findall(match[2])]
        return tuple(steps)

    @cached_property
    def in_document(self) -> Path:
        """The path without the `$.` at its start."""
        return Path(self.text.removeprefix(f"{DOCUMENT}."))

    @cached_property
    def is_list(self) -> bool:
        """Whether the path leads to several values."""
        return None in self.steps or ANY_KEY in self.steps

    @cached_property
    def keys(self) -> tuple[str, ...] | None:
        """Keys of the path, if it has nothing but keys."""
        keys = tuple(step for step in self.steps if isinstance(step, str) and step != ANY_KEY)
        return keys if len(keys) == len(self.steps) else None

    @cached_property
    def flat(self) -> tuple[str, str]:
        """The path as one key, as a flattened object spells it."""
        # Both spellings of exporters: `stats.playCount` and `stats/playCount`.
        parts = [str(step) for step in self.steps if step is not None]
        return ".".join(parts), "/".join(parts)

    def values(self, row: Any) -> Iterator[Any]:
        """Yield the values in a row of JSON that are neither missing nor empty."""
        if isinstance(row, dict) and len(self.steps) > 1 and not self.is_list:
            # A table or a flattened object spells the path as one key: `stats.playCount` or `stats/playCount`.
            for key in self.flat:
                if row.get(key) not in (None, ""):
                    yield row[key]
                    return
        yield from _walk(row, self, 0)

    def first(self, row: Any) -> Any:
        """The first of the values, or None. Paths of keys alone, which are most, are walked at once."""
        value = row
        # The fast way, for nearly all values of large files; whatever is not plain goes the general way below.
        if self.keys is None or type(row) is not dict:
            return next(self.values(row), None)
        for key in self.keys:
            if type(value) is not dict:
                return next(self.values(row), None)  # None, or an error of the shape
            value = value.get(key)
        return next(self.values(row), None) if value is None or value == "" else value


def _walk(value: Any, path: Path, start: int) -> Iterator[Any]:
    for i in range(start, len(path.steps)):
        step = path.steps[i]
        if value is None:
            return
        if step is None or step == ANY_KEY:
            for item in _items(value, step, path):
                yield from _walk(item, path, i + 1)
            return
        if isinstance(step, int):
            value = value[step] if isinstance(value, list) and step < len(value) else None
        elif isinstance(value, dict):
            value = value.get(step)
        else:
            raise WrongShapeError(f"{path.text}: expected an object with {step!r}, but it is {describe(value)}")
    if value is not None and value != "":
        yield value


def _items(value: Any, step: Step, path: Path) -> list[Any]:
    if isinstance(value, dict) and step == ANY_KEY:
        return list(value.values())
    if isinstance(value, list) and step is None:
        return value
    # Some exporters write an empty text for an empty array.
    if value == "":
        return []
    raise WrongShapeError(f"{path.text} is {describe(value)}, not {'an object' if step else 'an array'}")


def describe(value: object) -> str:
    """Describe a value of JSON for a message."""
    if isinstance(value, dict):
        return "an object"
    return "an array" if isinstance(value, list) else f"the single value {str(value)[:80]!r}"


@dataclass(frozen=True)
class Template:
    """A text with the values of paths; null where one of them is."""

    text: str

    @cached_property
    def paths(self) -> tuple[Path, ...]:
        """The paths in the braces."""
        return tuple(Path(name) for name in _PLACEHOLDER.findall(self.text))

    @cached_property
    def literals(self) -> tuple[str, ...]:
        """The texts between the paths, one more than paths."""
        return tuple(_PLACEHOLDER.split(self.text)[::2])


@dataclass(frozen=True)
class Expression:
    """Alternatives, each a template or paths to join, and how their text becomes a value.

    Args:
        alternatives: in order of preference.
        pattern: regular expression; its first group, or else the whole match, replaces the text.
        values: text → text that replaces it; `*` stands for any other.
        settings: reading settings of this column alone, by name: `locale`, `zone`, `dates`, `unit`.
    """

    text: str
    alternatives: tuple[Template | tuple[Path, ...], ...]
    pattern: re.Pattern[str] | None = None
    values: Mapping[str, str] | None = None
    settings: Mapping[str, str] | None = None

    @property
    def paths(self) -> tuple[Path, ...]:
        """All paths of the alternatives."""
        groups = (part.paths if isinstance(part, Template) else part for part in self.alternatives)
        return tuple(path for group in groups for path in group)


_OPTIONS = {"path", "pattern", "values"}
COLUMN_SETTINGS = ("locale", "zone", "dates", "unit")


def parse_expression(given: object, name: str) -> Expression:
    """Parse the expression of a column: a text, or a mapping with `path` and options.

    Raises:
        ConfigError: it is neither, or an option is unknown or malformed.
    """
    if not isinstance(given, dict):
        text = str(given)
        return Expression(text, _alternatives(text))
    if unknown := given.keys() - _OPTIONS - set(COLUMN_SETTINGS):
        options = ", ".join(sorted([*_OPTIONS, *COLUMN_SETTINGS]))
        raise ConfigError(f"{name} of the map has no option {sorted(unknown)[0]!r}; the options are: {options}")
    if "path" not in given:
        raise ConfigError(f"{name} of the map lacks 'path'")
    text = str(given["path"])
    values = {_scalar(key): str(value) for key, value in (given.get("values") or {}).items()}
    settings = {key: str(given[key]) for key in COLUMN_SETTINGS if key in given}
    return Expression(text, _alternatives(text), _pattern(given.get("pattern"), name), values or None, settings)


def _alternatives(text: str) -> tuple[Template | tuple[Path, ...], ...]:
    alternatives: list[Template | tuple[Path, ...]] = []
    # With the blanks, since a bar or a plus alone may be part of a title.
    for part in text.split(" | "):
        part = part.strip()
        if part.startswith("="):
            alternatives.append(Template(part[1:]))
        else:
            alternatives.append(tuple(Path(name.strip()) for name in part.split(" + ")))
    return tuple(alternatives)


def _pattern(given: object, name: str) -> re.Pattern[str] | None:
    try:
        return re.compile(str(given)) if given is not None else None
    except re.error as error:
        raise ConfigError(f"{name} of the map: {given!r} is not a regular expression: {error}") from None


def _scalar(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)  # YAML reads `true` and `yes`
