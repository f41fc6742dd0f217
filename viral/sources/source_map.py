"""Maps: which value of a file goes into which column of a post."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from importlib import resources
from typing import Any

from viral.errors import ConfigError
from viral.sources.expressions import Expression, Path, parse_expression
from viral.sources.settings import ReadSettings
from viral.tables.schemas import POSTS

YT_DLP = "yt_dlp"
ROW_COLUMNS = ("kind", "slides", "error")
"""Columns of a map that say what a row is: its kind, its pictures if it is a photo set, the scraper's error."""

_SETTINGS = ("encoding", "locale", "zone", "dates")
_CSV = ("delimiter", "skip_lines", "header")
_KEYS = ("about", "extends", "rows", "signs", "one_post_per_file", *_SETTINGS, *_CSV)
_ITSELF = "."


@dataclass(frozen=True)
class CsvLayout:
    """Layout of a CSV file; None where it is to be recognised. Without a header, columns are called 1, 2 and so on."""

    delimiter: str | None = None
    skip_lines: int | None = None
    header: bool = True


@dataclass(frozen=True)
class SourceMap:
    """Where the values of posts lie in a file.

    Args:
        name: name of the map, and the default of the column `source`.
        columns: column of a post, or one of `ROW_COLUMNS` → expression.
        about: the exporter, in words.
        rows: paths from a document to its rows, in order of preference; `.` is the document itself.
        signs: expressions that a file of this exporter has, by which it is recognised.
        one_post_per_file: each file holds one post, and its video lies beside it.
        by_user: the user wrote the map: every column must be there.
        is_partial: it completes the map that is recognised.
        required: columns that the user named: one without any value is reported.
        settings: reading settings of all files of the exporter, by name.
        csv: layout of CSV files.
        unread: names in the file that none of the columns is read from, if the map was made from names.
    """

    name: str
    columns: Mapping[str, Expression]
    about: str = ""
    rows: tuple[Path, ...] = ()
    signs: tuple[Expression, ...] = ()
    one_post_per_file: bool = False
    by_user: bool = False
    is_partial: bool = False
    required: frozenset[str] = frozenset()
    settings: Mapping[str, Any] = field(default_factory=dict)
    csv: CsvLayout = field(default_factory=CsvLayout)
    unread: tuple[str, ...] = ()

    @property
    def is_guess(self) -> bool:
        """Whether the map was made from the names in a file."""
        return not self.by_user and not self.signs

    def complete(self, base: SourceMap) -> SourceMap:
        """Return another map with the columns and settings of this one before its own."""
        return replace(
            base,
            columns={**base.columns, **self.columns},
            settings={**base.settings, **self.settings},
            rows=self.rows or base.rows,
            required=self.required,
        )

    def document_paths(self) -> set[str]:
        """Paths that start at the document of a row, without their `$.`."""
        paths = (path.text for expression in self.columns.values() for path in expression.all_paths)
        return {text.removeprefix("$.") for text in paths if text.startswith("$.")}


def build_map(name: str, content: Mapping[str, Any], *, by_user: bool = False, is_partial: bool = False) -> SourceMap:
    """Build a map from the content of a map file. One of the user's without `post_id` is partial.

    Raises:
        ConfigError: a key is unknown, or an expression is malformed.
    """
    known = {*POSTS.names, *ROW_COLUMNS}
    if unknown := [key for key in content if key not in known and key not in _KEYS]:
        names = ", ".join(dict.fromkeys([*POSTS.names, *ROW_COLUMNS]))
        raise ConfigError(
            f"{unknown[0]!r} in the map is not a post column; these are: {names}; "
            f"a map may also set {', '.join(key for key in _KEYS if key not in ('about', 'extends', 'signs'))}"
        )
    base = _base(str(content["extends"])) if "extends" in content else SourceMap(name, {})
    given = {key: parse_expression(value, key) for key, value in content.items() if key in known and value is not None}
    columns = {**base.columns, **given}
    for path in (path for expression in columns.values() for path in expression.all_paths):
        _ = path.steps  # checks it
    settings = {key: content[key] for key in _SETTINGS if content.get(key) is not None}
    ReadSettings(**settings)  # checks them
    return SourceMap(
        name,
        # in the order of the posts table, whatever that of the map file
        {key: columns[key] for key in [*POSTS.names, *ROW_COLUMNS] if key in columns},
        str(content.get("about", base.about)),
        tuple(Path(part.strip()) for part in str(content["rows"]).split("|")) if "rows" in content else base.rows,
        tuple(parse_expression(sign, "signs") for sign in content.get("signs", ())),
        bool(content.get("one_post_per_file", False)),
        by_user,
        is_partial or "post_id" not in columns,
        frozenset(given if by_user else ()),
        {**base.settings, **settings},
        CsvLayout(content.get("delimiter"), content.get("skip_lines"), bool(content.get("header", True))),
    )


def _base(name: str) -> SourceMap:
    if name not in shipped_maps():
        raise ConfigError(f"there is no map {name!r}; there are: {', '.join(sorted(shipped_maps()))}")
    return shipped_maps()[name]


@cache
def shipped_maps() -> dict[str, SourceMap]:
    """Maps of the known exporters, by name; those with more signs come first, as they recognise a file more surely."""
    import yaml

    folder = resources.files("viral.sources") / "maps"
    contents = {
        entry.name.removesuffix(".yaml"): yaml.safe_load(entry.read_text(encoding="utf-8"))
        for entry in folder.iterdir()
        if entry.name.endswith(".yaml")
    }
    maps: dict[str, SourceMap] = {}
    # Maps that extend another come after all others, one of which they need.
    for name in sorted(contents, key=lambda name: "extends" in contents[name]):
        maps[name] = _build_shipped(name, contents[name], maps)
    return dict(sorted(maps.items(), key=lambda item: (-len(item[1].signs), item[0])))


def _build_shipped(name: str, content: dict[str, Any], maps: Mapping[str, SourceMap]) -> SourceMap:
    base = maps.get(str(content.pop("extends", "")))
    built = build_map(name, {**({"post_id": "id"} if base else {}), **content})
    if base is None:
        return built
    # `post_id` was only there to make the map valid: the base's counts, unless the map names one.
    own = {key: value for key, value in built.columns.items() if key != "post_id" or "post_id" in content}
    return replace(built, columns={**base.columns, **own}, rows=built.rows or base.rows)


def is_itself(path: Path) -> bool:
    """Whether a path to rows means the document itself."""
    return path.text == _ITSELF


def default_rows(arrays: Sequence[str]) -> tuple[Path, ...]:
    """Paths to rows for a map without any: the document itself, or one of the arrays that it holds."""
    return (Path(_ITSELF), *(Path(array) for array in arrays))
