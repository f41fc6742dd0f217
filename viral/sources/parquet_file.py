"""Posts in a Parquet file; only the columns that a post needs are read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from viral.errors import SourceError
from viral.sources.columns import resolve
from viral.sources.json_stream import OpenFile
from viral.sources.parsed import RawBatch
from viral.tables.schemas import POSTS


def raw_batches(
    open_file: OpenFile, file: str, columns: Mapping[str, str] | None, batch_rows: int
) -> Iterator[RawBatch]:
    """The rows of a Parquet file, in batches.

    Raises:
        ConfigError: the column map does not fit the file.
        SourceError: the file is no Parquet, has no column for `post_id`, or a column of a type that a post cannot hold.
    """
    with open_file(file) as stream:
        try:
            parquet = pq.ParquetFile(stream)
            chosen = resolve(parquet.schema_arrow.names, columns, file)
            start = 0
            for block in parquet.iter_batches(batch_size=batch_rows, columns=sorted(set(chosen.values()))):
                yield _batch(block, chosen, start, file)
                start += block.num_rows
        except pa.ArrowInvalid as error:
            raise SourceError(f"{file} is not readable Parquet: {error}") from None


def _batch(block: pa.RecordBatch, chosen: Mapping[str, str], start: int, file: str) -> RawBatch:
    return RawBatch(
        columns={target: _plain(block.column(name), target, name, file) for target, name in chosen.items()},
        rows=np.arange(start + 1, start + block.num_rows + 1),
        raw=lambda position: block.slice(position, 1).to_pylist()[0],
        labels=chosen,
    )


def _plain(column: pa.Array, target: str, name: str, file: str) -> pa.Array:
    """Text, except for what Parquet says better: points in time, and lists of hashtags."""
    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    wanted = POSTS.field(target).type
    if pa.types.is_timestamp(wanted) and (pa.types.is_timestamp(kind) or pa.types.is_date(kind)):
        return column.cast(pa.timestamp("us", getattr(kind, "tz", None)), safe=False)
    if pa.types.is_list(wanted) and (pa.types.is_list(kind) or pa.types.is_large_list(kind)):
        return column.cast(pa.list_(pa.string()))
    if pa.types.is_nested(kind) or pa.types.is_binary(kind) or pa.types.is_temporal(kind):
        raise SourceError(f"{file}: column {name!r} is of type {column.type}, which cannot be a post's {target!r}")
    return column.cast(pa.string())
