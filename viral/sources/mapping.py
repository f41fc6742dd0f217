"""Raw columns of posts from the rows of a file, by a map."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from viral.errors import SourceError
from viral.sources.expressions import Expression, Path, Template
from viral.sources.parsed import RawBatch
from viral.sources.rows import Rows, empty_to_null, join_texts
from viral.sources.source_map import ROW_COLUMNS, SourceMap
from viral.sources.values import FALSE_SPELLINGS, Faults, strip_nulls
from viral.tables.schemas import POSTS

_LISTS = tuple(field.name for field in POSTS if pa.types.is_list(field.type))


def map_rows(source_map: SourceMap, rows: Rows, file: str) -> RawBatch:
    """Evaluate the expressions of a map on rows.

    Raises:
        SourceError: a column has a type that its column of a post cannot take.
    """
    columns: dict[str, pa.Array] = {}
    faults: dict[str, Faults] = {}
    for name, expression in source_map.columns.items():
        if name not in _LISTS:
            columns[name], faults[name] = _evaluate(expression, rows)
            _check_type(columns[name], name, expression, file)
    # Lists stay Python objects: exporters write them in too many forms for one Arrow type.
    lists = {name: _lists(source_map.columns[name], rows) for name in _LISTS if name in source_map.columns}
    return RawBatch(
        columns={name: column for name, column in columns.items() if name not in ROW_COLUMNS},
        rows=rows.numbers,
        raw=rows.raw,
        labels={name: _label(expression, rows) for name, expression in source_map.columns.items()},
        broken=rows.broken,
        lists=lists,
        kinds=columns.get("kind"),
        errors=columns.get("error"),
        faults={name: found for name, found in faults.items() if found},
        settings={name: expression.settings or {} for name, expression in source_map.columns.items()},
    )


def _evaluate(expression: Expression, rows: Rows) -> tuple[pa.Array, Faults]:
    """First of the alternatives that has a value, per row."""
    result: pa.Array | None = None
    faults: Faults = {}
    for alternative in expression.alternatives:
        found, own = _alternative(alternative, rows)
        # An empty text must not hide the value of a later alternative.
        found = empty_to_null(found)
        faults |= own
        result = found if result is None else _coalesce(result, found)
        # Later alternatives cannot change anything, and reading them costs time.
        if not result.null_count:
            break
    assert result is not None
    result = _translate(_extract(result, expression), expression)
    if expression.unless is not None and rows.has(expression.unless):
        result = pc.if_else(_is_set(rows.texts(expression.unless)[0]), pa.scalar(None, result.type), result)
    # What could not be read does not matter where another alternative has a value.
    return result, {i: fault for i, fault in faults.items() if not result[i].is_valid}


def _is_set(texts: pa.Array) -> pa.Array:
    """Mask of the values that are neither missing nor false."""
    words = pc.utf8_lower(strip_nulls(texts.cast(pa.string())))
    return pc.and_(pc.is_valid(words), pc.invert(pc.is_in(words, value_set=pa.array(FALSE_SPELLINGS))))


def _alternative(alternative: Template | tuple[Path, ...], rows: Rows) -> tuple[pa.Array, Faults]:
    paths = alternative.paths if isinstance(alternative, Template) else alternative
    faults: Faults = {}
    arrays: list[pa.Array] = []
    for path in paths:
        # A path that no row has is null in a joined value; in a template the lookup itself gives nulls.
        array, own = rows.texts(path) if rows.has(path) or not isinstance(alternative, tuple) else (_nulls(rows), {})
        arrays.append(array)
        faults |= own
    if isinstance(alternative, tuple):
        return join_texts(arrays), faults
    return _fill(alternative, arrays, len(rows.numbers)), faults


def _nulls(rows: Rows) -> pa.Array:
    return pa.nulls(len(rows.numbers), pa.string())


def _fill(template: Template, arrays: Sequence[pa.Array], size: int) -> pa.Array:
    # Null as soon as one path is null: an address with a gap leads nowhere.
    pieces: list[Any] = [pa.array([template.literals[0]] * size, pa.string())]
    for array, literal in zip(arrays, template.literals[1:], strict=True):
        pieces += [empty_to_null(array.cast(pa.string())), literal]
    return pc.binary_join_element_wise(*pieces, "") if arrays else pieces[0]


def _coalesce(first: pa.Array, second: pa.Array) -> pa.Array:
    if first.type == second.type:
        return pc.coalesce(first, second)
    if pa.types.is_null(first.type) or first.null_count == len(first):
        return second
    # Different types: text, which the parsers of all columns read.
    return pc.coalesce(first.cast(pa.string()), second.cast(pa.string()))


def _extract(texts: pa.Array, expression: Expression) -> pa.Array:
    """Replace texts by what the pattern of the expression finds in them."""
    if expression.pattern is None:
        return texts
    matches = [expression.pattern.search(text) if text else None for text in texts.cast(pa.string()).to_pylist()]
    # The first group of the pattern, or all that it matches if it has none.
    return pa.array([match and (match[1] if match.re.groups else match[0]) for match in matches], pa.string())


def _translate(texts: pa.Array, expression: Expression) -> pa.Array:
    if not expression.values:
        return texts
    values = expression.values
    return pa.array(
        # `*` stands for any value that is not named.
        [values.get(text, values.get("*", text)) if text else text for text in texts.cast(pa.string()).to_pylist()],
        pa.string(),
    )


def _lists(expression: Expression, rows: Rows) -> list[Any]:
    """First alternative with values per row, as Python objects."""
    found: list[Any] = [None] * len(rows.numbers)
    for alternative in expression.alternatives:
        if isinstance(alternative, tuple):
            found = [value or other for value, other in zip(found, rows.objects(alternative[0]), strict=True)]
    return found


def _label(expression: Expression, rows: Rows) -> str:
    """Name of the column in messages: the first path that the rows have, or else the first."""
    return next((path.text for path in expression.paths if rows.has(path)), expression.text)


def _check_type(column: pa.Array, name: str, expression: Expression, file: str) -> None:
    dtype = column.type
    is_time = name in POSTS.names and pa.types.is_timestamp(POSTS.field(name).type)
    if not (pa.types.is_string(dtype) or (is_time and pa.types.is_timestamp(dtype))):
        raise SourceError(f"{file}: column {expression.text!r} is of type {dtype}, which does not fit {name!r}")
