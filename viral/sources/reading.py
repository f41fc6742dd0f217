"""Reading of a file of scraped data, of any source, in batches."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import BinaryIO

from viral.errors import ConfigError
from viral.sources import csv_file, parquet_file, tiktok_api, trending_json, yt_dlp
from viral.sources.assemble import assemble
from viral.sources.parsed import ParsedBatch, RawBatch, merge_batches

_JSON = {
    "trending_json": trending_json.raw_batches,
    "tiktok_api": tiktok_api.raw_batches,
    "yt_dlp": yt_dlp.raw_batches,
}
_TABLES = {"csv": csv_file.raw_batches, "parquet": parquet_file.raw_batches}

_RAW_ROWS = 5_000  # per raw batch: a JSON post takes some 20 kB as Python objects, so 100 MB

SOURCES = (*_JSON, *_TABLES)
"""Names of the adapters."""


def read(
    source: str,
    file: str,
    open_file: Callable[[str], BinaryIO],
    *,
    columns: Mapping[str, str] | None = None,
    base_uri: str | None = None,
    scraped_at: datetime | None = None,
    batch_rows: int = 50_000,  # at some 400 bytes per post: 20 MB
) -> Iterator[ParsedBatch]:
    """Yield the posts and rejects of one file in batches, with bounded memory.

    Duplicate posts are not merged.

    Args:
        source: one of `SOURCES`.
        file: path or URI; for `yt_dlp` one `*.info.json`, with its video in the same folder.
        open_file: opens it in binary mode; a Parquet file must be seekable.
        columns: for `csv` and `parquet`: post column → column of the file. By default, columns with the names of post
            columns.
        base_uri: folder that relative paths of videos are resolved against. Absolute paths and URIs stay.
        scraped_at: time of scraping for rows without one.
        batch_rows: maximum rows of a batch.

    Raises:
        ConfigError: no such source, or the column map does not fit.
        SourceError: the file is not of the source's format.
    """
    raw = _raw_batches(source, file, open_file, columns, min(batch_rows, _RAW_ROWS))
    yield from merge_batches(
        (assemble(batch, source=source, file=file, base_uri=base_uri, scraped_at=scraped_at) for batch in raw),
        batch_rows,
    )


def _raw_batches(
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
        raise ConfigError(f"a column map is for csv and parquet; {source} has fixed columns")
    return _JSON[source](open_file, file, batch_rows)
