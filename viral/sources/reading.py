"""Reads a file of scraped data of any kind, in batches."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import BinaryIO

from viral.errors import ConfigError
from viral.sources import csv_file, parquet_file, tiktok_api, trending_json, yt_dlp
from viral.sources.assemble import assemble
from viral.sources.parsed import Parsed, RawBatch, merged

_JSON = {
    "trending_json": trending_json.raw_batches,
    "tiktok_api": tiktok_api.raw_batches,
    "yt_dlp": yt_dlp.raw_batches,
}
_TABLES = {"csv": csv_file.raw_batches, "parquet": parquet_file.raw_batches}

# Rows held as the source has them: a JSON post takes some 20 kB while it is taken apart.
_RAW_ROWS = 5_000

SOURCES = (*_JSON, *_TABLES)
"""The kinds of scraped data that can be read."""


def read(
    source: str,
    file: str,
    open_file: Callable[[str], BinaryIO],
    *,
    columns: Mapping[str, str] | None = None,
    base_uri: str | None = None,
    scraped_at: datetime | None = None,
    batch_rows: int = 50_000,
) -> Iterator[Parsed]:
    """The posts and rejects of one file, batch by batch, with bounded memory.

    Rows are neither merged nor dropped: a post that is in the file twice comes twice (see `newest`).

    Args:
        source: one of `SOURCES`.
        file: path or URI; for `yt_dlp` one `*.info.json`, whose video lies beside it.
        open_file: opens it for reading, by bytes; a Parquet file must be seekable.
        columns: for `csv` and `parquet`, post column → their column. Without it, columns called like those of a post
            are taken.
        base_uri: the folder of the file; a relative path to a video is resolved against it. Absolute paths and
            addresses stay.
        scraped_at: when the counts were read, for rows that do not say.
        batch_rows: the most rows of a batch.

    Raises:
        ConfigError: no such source, or a column map that does not fit.
        SourceError: the file is not what `source` says.
    """
    raw = _raw(source, file, open_file, columns, min(batch_rows, _RAW_ROWS))
    yield from merged(
        (assemble(batch, source=source, file=file, base_uri=base_uri, scraped_at=scraped_at) for batch in raw),
        batch_rows,
    )


def _raw(
    source: str,
    file: str,
    open_file: Callable[[str], BinaryIO],
    columns: Mapping[str, str] | None,
    batch_rows: int,
) -> Iterator[RawBatch]:
    if source in _TABLES:
        return _TABLES[source](open_file, file, columns, batch_rows)
    if source not in _JSON:
        raise ConfigError(f"there is no source {source!r}; there are: {', '.join(SOURCES)}")
    if columns is not None:
        raise ConfigError(f"a column map is for csv and parquet; {source} knows its columns")
    return _JSON[source](open_file, file, batch_rows)
