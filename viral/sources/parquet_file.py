"""Parquet adapter, which reads only the mapped columns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from viral.errors import SourceError
from viral.sources.columns import resolve_columns
from viral.sources.json_stream import OpenFile
from viral.sources.parsed import RawBatch
from viral.tables.schemas import POSTS


def raw_batches(
    open_file: OpenFile, file: str, columns: Mapping[str, str] | None, batch_rows: int
) -> Iterator[RawBatch]:
    """Yield the rows of a Parquet file in batches.

    Raises:
        ConfigError: the column map does not fit the file.
        SourceError: the file is not Parquet, has no column for `post_id`, or has a column of an unsuitable type.
    """
    with open_file(file) as stream:
        try:
            parquet = pq.ParquetFile(stream)
            column_map = resolve_columns(parquet.schema_arrow.names, columns, file)
            start = 0
            for block in parquet.iter_batches(batch_size=batch_rows, columns=sorted(set(column_map.values()))):
                yield _batch(block, column_map, start, file)
                start += block.num_rows
        except pa.ArrowInvalid as error:
            raise SourceError(f"{file} is not readable Parquet: {error}") from None


def _batch(block: pa.RecordBatch, column_map: Mapping[str, str], start: int, file: str) -> RawBatch:
    return RawBatch(
        columns={target: _raw_column(block.column(name), target, name, file) for target, name in column_map.items()},
        rows=np.arange(start + 1, start + block.num_rows + 1),
        raw=lambda i: block.slice(i, 1).to_pylist()[0],
        labels=column_map,
    )


def _raw_column(column: pa.Array, target: str, name: str, file: str) -> pa.Array:
    """Convert a column to text, or to timestamps or lists where the post column has that type too."""
    dtype = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    target_type = POSTS.field(target).type
    if pa.types.is_timestamp(target_type) and (pa.types.is_timestamp(dtype) or pa.types.is_date(dtype)):
        return column.cast(pa.timestamp("us", getattr(dtype, "tz", None)), safe=False)  # drops nanoseconds
    if pa.types.is_list(target_type) and (pa.types.is_list(dtype) or pa.types.is_large_list(dtype)):
        return column.cast(pa.list_(pa.string()))
    if pa.types.is_nested(dtype) or pa.types.is_binary(dtype) or pa.types.is_temporal(dtype):
        raise SourceError(f"{file}: column {name!r} is of type {column.type}, which does not fit {target!r}")
    return column.cast(pa.string())  # numbers too: the text parsers check them
