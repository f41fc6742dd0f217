"""Read a file of scraped data from any source, in batches."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import BinaryIO

from viral.errors import ConfigError, SourceError
from viral.sources import csv_file, parquet_file, tiktok_api, trending_json, yt_dlp
from viral.sources.assemble import assemble
from viral.sources.parsed import ParsedBatch, RawBatch, merge_batches

_JSON = {"trending_json": trending_json.raw_batches, "tiktok_api": tiktok_api.raw_batches}
_TABLES = {"csv": csv_file.raw_batches, "parquet": parquet_file.raw_batches}
_RAW_ROWS = 5_000  # per raw batch: a JSON post takes about 20 kB as Python objects, so 100 MB

YT_DLP = "yt_dlp"
SOURCES = (*_JSON, YT_DLP, *_TABLES)
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
    if source == YT_DLP and columns is None:
        yield from read_info_files([file], open_file, scraped_at=scraped_at)
        return
    try:
        raw = _raw_batches(source, file, open_file, columns, min(batch_rows, _RAW_ROWS))
        parsed = (assemble(batch, source=source, file=file, base_uri=base_uri, scraped_at=scraped_at) for batch in raw)
        yield from merge_batches(parsed, batch_rows)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise SourceError(f"{file} is no whole gzip file ({error}): get it again") from error


def _raw_batches(
    source: str, file: str, open_file: Callable[[str], BinaryIO], columns: Mapping[str, str] | None, batch_rows: int
) -> Iterator[RawBatch]:
    if source in _TABLES:
        return _TABLES[source](open_file, file, columns, batch_rows)
    if source not in SOURCES:
        raise ConfigError(f"there is no source {source!r}; there are: {', '.join(SOURCES)}")
    if columns is not None:
        raise ConfigError(f"a column map is for csv and parquet; {source} has fixed columns")
    return _JSON[source](open_file, file, batch_rows)


def read_info_files(
    files: Sequence[str],
    open_file: Callable[[str], BinaryIO],
    *,
    videos: Mapping[str, Sequence[str]] | None = None,
    scraped_at: datetime | None = None,
) -> Iterator[ParsedBatch]:
    """Yield the posts and rejects of many info files of yt-dlp, in batches.

    Args:
        files: paths or URIs.
        open_file: opens one of them.
        videos: the videos that lie beside a file, by path or URI; without any, the extension in the file counts.
        scraped_at: time of scraping for files without one.
    """
    for batch in yt_dlp.raw_batches(open_file, files, videos or {}, _RAW_ROWS):
        yield assemble(batch, source=YT_DLP, file=files, scraped_at=scraped_at)
