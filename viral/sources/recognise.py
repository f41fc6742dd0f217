"""Recognition of a file: which of the maps fits it, or else which columns have names that mean a post's."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from viral.errors import ConfigError, SourceError
from viral.sources import csv_file, json_head, parquet_file
from viral.sources.common_names import COMMON_NAMES
from viral.sources.csv_file import CsvHead
from viral.sources.expressions import Expression, Path, WrongShapeError, parse_expression
from viral.sources.identifiers import may_identify
from viral.sources.json_head import JsonHead
from viral.sources.opened import CSV, JSON, PARQUET, OpenFile, detect_format
from viral.sources.rows import JsonRows, Rows, Titles
from viral.sources.source_map import ROW_COLUMNS, CsvLayout, SourceMap, default_rows, shipped_maps
from viral.tables.schemas import POSTS

_MIN_FITTING = 0.5  # fraction of the first rows that must bear an exporter's signs: error rows bear none
_MAX_KEYS = 4  # levels of keys that are looked at in rows of an unknown exporter
_SHOWN = 40  # names in a message: a nested row of a scraper has more than twenty
_LIKE_DATA = re.compile(r"^\s*(?:https?://\S+|\d{15,})\s*$")


@dataclass(frozen=True)
class Sample:
    """Start of a file: its format, its titles if it is a table, and its first rows at some path."""

    file: str
    format: str
    csv: CsvHead | None = None
    json: JsonHead | None = None
    titles: Titles = field(default_factory=lambda: Titles([]))
    values: Mapping[str, Sequence[Any]] = field(default_factory=dict)

    def rows(self, *paths: Path) -> list[Any]:
        """First rows of JSON, at the first of the paths that a document has."""
        return [row for row, _ in self.json.rows(paths)] if self.json else []

    def row_paths(self) -> list[Path]:
        """Paths at which rows of an unknown exporter may lie."""
        return list(default_rows(self.json.arrays())) if self.json else []


def read_sample(
    open_file: OpenFile, file: str, encoding: str | None, layout: CsvLayout, file_format: str | None = None
) -> Sample:
    """Read the start of a file. Raises SourceError if it is not of its format."""
    found = file_format or detect_format(open_file, file)
    if found == CSV:
        head = csv_file.read_head(open_file, file, encoding, layout)
        # Rows of another width are rejects later; here they would shift the columns.
        columns = list(zip(*(row for row in head.rows if len(row) == len(head.titles)), strict=True))
        values = dict(zip(head.titles, columns, strict=False))
        return Sample(file, CSV, csv=head, titles=Titles(head.titles), values=values)
    if found == PARQUET:
        rows = parquet_file.read_head(open_file, file)
        return Sample(
            file, PARQUET, titles=rows.titles, values={name: rows.columns[name].to_pylist() for name in rows.columns}
        )
    return Sample(file, JSON, json=json_head.read_head(open_file, file, encoding))


def recognise(sample: Sample, partial: SourceMap | None = None) -> SourceMap:
    """Return the map of a known exporter that fits a file, or one made from its names.

    Args:
        sample: start of the file.
        partial: the user's map, whose columns need no names.

    Raises:
        SourceError: no map fits, and no name means the identifier of a post.
    """
    return next((each for each in shipped_maps().values() if fits(each, sample)), None) or _guess(
        sample, partial.columns if partial else {}
    )


def fits(source_map: SourceMap, sample: Sample) -> bool:
    """Whether most of the first rows bear all signs of a map's exporter."""
    if not source_map.signs:
        return False
    # A table has the same columns in all rows; in JSON, rows differ, and a fraction must bear the signs.
    if sample.json is None:
        return all(any(sample.titles.find(path) for path in sign.paths) for sign in source_map.signs)
    return _share(source_map, sample.json.rows(source_map.rows or sample.row_paths())) >= _MIN_FITTING


def check_map(source_map: SourceMap, sample: Sample) -> None:
    """Check that a map that the user chose fits a file.

    Raises:
        ConfigError: the user's own map names a column that the file does not have.
        SourceError: the file is of another exporter.
    """
    if source_map.by_user and sample.json is None:
        _check_titles(source_map, sample)
    elif source_map.by_user and "post_id" in source_map.columns:
        # Without `rows` in the map, any array may hold them.
        paths = [source_map.rows] if source_map.rows else [(path,) for path in sample.row_paths()]
        rows = [row for group in paths for row in sample.rows(*group)]
        if rows and not any(has_value(row, source_map.columns["post_id"]) for row in rows):
            raise ConfigError(
                f"{sample.file} has no {source_map.columns['post_id'].text!r} for post_id; it has: {_names(sample)}"
            )
    # The signs of the chosen exporter are missing. Another exporter's signs are proof of a mistake; without any, rows
    # with identifiers are good enough.
    elif not source_map.by_user and source_map.signs and not fits(source_map, sample):
        other = next((each.name for each in shipped_maps().values() if fits(each, sample)), None)
        if other or sample.json is None:
            found = f", but one of {other}" if other else f": it has {_names(sample)}; write a map (--map-file)"
            raise SourceError(f"{sample.file} is not a file of {source_map.name}{found}")
        _check_rows(source_map, sample)


def _check_rows(source_map: SourceMap, sample: Sample) -> None:
    rows = sample.rows(*(source_map.rows or sample.row_paths()))
    posts = [source_map.columns[name] for name in ("post_id", "error") if name in source_map.columns]
    if rows and not any(has_value(row, expression) for row in rows for expression in posts):
        raise SourceError(f"{sample.file} holds no posts of {source_map.name}; it holds {_names(sample)}")


def _check_titles(source_map: SourceMap, sample: Sample) -> None:
    for name, expression in source_map.columns.items():
        for group in (expression.paths, [expression.unless] if expression.unless else []):
            paths = [path for path in group if not path.text.startswith("$")]
            if paths and not any(sample.titles.find(path) for path in paths):
                names = f"{_names(sample)}{_no_header(sample)}"
                raise ConfigError(f"{sample.file} has no column {paths[0].text!r} for {name}; it has: {names}")


def _guess(sample: Sample, given: Mapping[str, Expression]) -> SourceMap:
    """Build a map from the names in a file that mean a column of a post, besides the columns that the user gave."""
    paths: Sequence[Path | None] = sample.row_paths() or [None]
    for path in paths:
        rows = sample.rows(path) if path else []
        names = list(sample.titles.names) if path is None else list(dict.fromkeys(_keys(rows)))
        identifiers = [name for name in names if _may_identify(sample, rows, name)]
        columns = dict(_common(names, given, identifiers))
        known = path is None or any(has_value(row, given["post_id"]) for row in rows) if "post_id" in given else False
        if known or "post_id" in columns:
            read = {each.text for expression in [*columns.values(), *given.values()] for each in expression.all_paths}
            unread = tuple(name.strip() for name in names if name not in read)
            return SourceMap(sample.format, columns, rows=(path,) if path else (), unread=unread)
    raise SourceError(
        f"{sample.file} is of no known exporter, and has no column that is called like an identifier of posts: name it "
        "(--map post_id=NAME; --dry-run 3 then shows a map to start from), or write a map (--map-file). "
        f"It has: {_names(sample)}{_no_header(sample)}"
    )


def _may_identify(sample: Sample, rows: Sequence[Any], name: str) -> bool:
    """Whether at least half of the rows have a value under a name that may be the identifier of a post."""
    path = Path(name)
    values = list(sample.values.get(name, ())) if sample.json is None else [_value(row, path) for row in rows]
    return 2 * sum(value is not None and may_identify(str(value)) for value in values) >= len(values)


def _value(row: Any, path: Path) -> Any:
    try:
        return path.first(row)
    except WrongShapeError:
        return None


def _common(
    names: Sequence[str], given: Mapping[str, Expression], identifiers: Sequence[str]
) -> Iterator[tuple[str, Expression]]:
    """Yield the columns whose names are common ones for a column of a post, except those that are given.

    `identifiers` are the names whose values may be identifiers of posts.
    """
    # Names are compared without case, blanks and underscores; below other keys, by their last key alone.
    by_plain: dict[str, str] = {}
    by_last: dict[str, str] = {}
    for name in (name for name in names if "%" not in name):  # `Likes %` is no count
        by_plain.setdefault(_plain(name), name)
        by_last.setdefault(_plain(name.rpartition(".")[2]), name)
    taken = {path.text for expression in given.values() for path in expression.paths}
    own = "slides" in names  # of a table of ours; elsewhere, a kind is anything
    columns = POSTS.names if own else [name for name in POSTS.names if name not in ROW_COLUMNS]
    for column in (column for column in columns if column not in given):
        commons = COMMON_NAMES.get(column, ())
        found = [by_plain[common] for common in commons if common in by_plain and by_plain[common] not in taken]
        found = [name for name in names if name.strip() == column] or found
        if column == "post_id":
            found = [name for name in found if name in identifiers]
        if not found and not column.endswith("_id"):  # below other keys, where `id` may be anything's
            found = [by_last[common] for common in commons if common in by_last and by_last[common] not in taken]
        if found:
            # A column is read once, but an address may be both the identifier and the page.
            taken.update(found[:1] if column != "post_id" else [])
            yield column, parse_expression(found[0], column)


def _plain(name: str) -> str:
    """Name in lower case, of letters and digits alone."""
    return re.sub(r"[\W_]", "", name.lower())


def _share(source_map: SourceMap, pairs: Sequence[tuple[Any, Any]]) -> float:
    objects = [(row, document) for row, document in pairs if isinstance(row, dict)]
    if not objects:
        return 0.0
    rows = JsonRows(
        [row for row, _ in objects], np.arange(len(objects)), [document for _, document in objects], [""] * len(objects)
    )
    found = np.ones(len(objects), bool)
    for sign in source_map.signs:
        found &= np.logical_or.reduce([_known(rows, path) for path in sign.paths])
    return float(found.mean())


def _known(rows: Rows, path: Path) -> np.ndarray[Any, np.dtype[np.bool_]]:
    return np.array([value is not None for value in rows.objects(path)], bool)


def has_value(row: Any, expression: Expression) -> bool:
    """Whether a row of JSON has a value at one of the paths of an expression."""
    for path in expression.paths:
        try:
            if next(path.values(row), None) is not None:
                return True
        except WrongShapeError:
            continue
    return False


def _keys(rows: Iterable[Any], prefix: str = "", depth: int = 0) -> Iterator[str]:
    """Yield the paths of single values in rows of JSON."""
    for row in rows:
        if isinstance(row, dict) and depth < _MAX_KEYS:
            for key, value in row.items():
                if isinstance(value, dict):
                    yield from _keys([value], f"{prefix}{key}.", depth + 1)
                else:
                    yield f"{prefix}{key}"


def _names(sample: Sample) -> str:
    """Titles of a table, or the paths of the values in rows of JSON, for a message."""
    if sample.json is None:
        names = [name.strip() for name in sample.titles.names]
    else:
        names = list(dict.fromkeys(key for path in sample.row_paths() for key in _keys(sample.rows(path))))
    return ", ".join(names[:_SHOWN]) + (" …" if len(names) > _SHOWN else "")


def _no_header(sample: Sample) -> str:
    if sample.csv and any(_LIKE_DATA.match(title) for title in sample.titles.names):
        return ". Its first line looks like a row: if there are no titles, write `header: false` into a map file"
    return ""
