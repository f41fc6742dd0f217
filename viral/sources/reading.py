"""Read a file of scraped data from any source, in batches."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import BinaryIO

from viral.errors import ConfigError
from viral.sources import csv_file, parquet_file, tiktok_api, trending_json, yt_dlp
from viral.sources.assemble import assemble
from viral.sources.parsed import ParsedBatch, merge_batches

_JSON = {
    "trending_json": trending_json.raw_batches,
    "tiktok_api": tiktok_api.raw_batches,
    "yt_dlp": yt_dlp.raw_batches,
}
_TABLES = {"csv": csv_file.raw_batches, "parquet": parquet_file.raw_batches}
_RAW_ROWS = 5_000  # per raw batch: a JSON post takes about 20 kB as Python objects, so 100 MB

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
    """Yield the posts and rejects of one file in batches, with bounded memory. Duplicate posts are not merged.

    Args:
        source: one of `SOURCES`.
        file: path or URI; for `yt_dlp` one `*.info.json`, with its video in the same folder.
        open_file: opens the file in binary mode; a Parquet file must be seekable.
        columns: for `csv` and `parquet`: post column → column of the file; by default, columns of equal names.
        base_uri: folder that relative paths of videos are resolved against.
        scraped_at: time of scraping for rows without one.
        batch_rows: maximum rows of a batch.

    Raises:
        ConfigError: there is no such source, or the column map does not fit.
        SourceError: the file does not have the source's format.
    """
    raw_rows = min(batch_rows, _RAW_ROWS)
    if source in _TABLES:
        raw = _TABLES[source](open_file, file, columns, raw_rows)
    elif source not in _JSON:
        raise ConfigError(f"there is no source {source!r}; there are: {', '.join(SOURCES)}")
    elif columns is not None:
        raise ConfigError(f"a column map is for csv and parquet; {source} has fixed columns")
    else:
        raw = _JSON[source](open_file, file, raw_rows)
    yield from merge_batches(
        (assemble(batch, source=source, file=file, base_uri=base_uri, scraped_at=scraped_at) for batch in raw),
        batch_rows,
    )
