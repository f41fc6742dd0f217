"""Parquet files, of which only the needed columns are read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from viral.errors import SourceError
from viral.sources.opened import OpenFile
from viral.sources.rows import TableRows, Titles

_HEAD_ROWS = 20  # from which a file is recognised


def read_head(open_file: OpenFile, file: str) -> TableRows:
    """Read the titles and the first rows. Raises SourceError if the file is not Parquet."""
    with open_file(file) as stream:
        try:
            parquet = pq.ParquetFile(stream)
            names = parquet.schema_arrow.names
            empty = pa.RecordBatch.from_pylist([], parquet.schema_arrow)
            batch = next(parquet.iter_batches(batch_size=_HEAD_ROWS), empty)
        except pa.ArrowInvalid as error:
            raise SourceError(f"{file} is not readable Parquet: {error}") from None
    return _rows(batch, Titles(names), 0, file)


def parquet_rows(open_file: OpenFile, file: str, titles: Iterable[str], size: int) -> Iterator[TableRows]:
    """Yield the rows of a Parquet file in batches, with the columns of some titles.

    Raises:
        SourceError: the file is not Parquet.
    """
    with open_file(file) as stream:
        try:
            parquet = pq.ParquetFile(stream)
            all_titles, start = Titles(parquet.schema_arrow.names), 0
            # Only what the map names is read: exports may have hundreds of columns.
            for block in parquet.iter_batches(batch_size=size, columns=sorted(set(titles))):
                yield _rows(block, all_titles, start, file)
                start += block.num_rows
        except pa.ArrowInvalid as error:
            raise SourceError(f"{file} is not readable Parquet: {error}") from None


def _rows(block: pa.RecordBatch, titles: Titles, start: int, file: str) -> TableRows:
    columns = {name: _readable(block.column(name)) for name in block.schema.names}
    return TableRows(columns, titles, np.arange(start + 1, start + block.num_rows + 1), file, block)


def _readable(column: pa.Array) -> pa.Array:
    """Convert a column to text; timestamps, and types that are no value of a post, stay."""
    dtype = column.type
    if pa.types.is_dictionary(dtype):
        return _readable(column.dictionary_decode())
    if pa.types.is_timestamp(dtype):
        return column.cast(pa.timestamp("us", dtype.tz), safe=False)  # drops nanoseconds
    if pa.types.is_date(dtype):
        return column.cast(pa.timestamp("us"))
    other = pa.types.is_nested(dtype) or pa.types.is_binary(dtype) or pa.types.is_temporal(dtype)
    return column if other else column.cast(pa.string())  # numbers too: the text parsers check them
