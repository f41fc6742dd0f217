"""Read files of scraped data of any exporter, in batches."""

from __future__ import annotations

import gzip
import lzma
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial

from viral.errors import SourceError
from viral.sources import csv_file, json_file, parquet_file
from viral.sources.assemble import assemble
from viral.sources.beside import slides, video_uris
from viral.sources.expressions import Path
from viral.sources.mapping import map_rows
from viral.sources.opened import CSV, JSON, OpenFile, plain_name
from viral.sources.parsed import ParsedBatch, merge_batches
from viral.sources.recognise import Sample, check_map, has_value, read_sample, recognise
from viral.sources.rows import Rows
from viral.sources.settings import ReadSettings
from viral.sources.source_map import YT_DLP, CsvLayout, SourceMap, shipped_maps

BATCH_ROWS = 50_000  # at some 400 bytes per post: 20 MB
_RAW_ROWS = 5_000  # per raw batch: a JSON post takes about 20 kB as Python objects, so 100 MB
_ITSELF = (Path("."),)


def read(
    file: str,
    open_file: OpenFile,
    source_map: SourceMap | None = None,
    *,
    settings: ReadSettings | None = None,
    file_format: str | None = None,
    base_uri: str | None = None,
    beside: Mapping[str, Sequence[str]] | None = None,
    batch_rows: int = BATCH_ROWS,
) -> Iterator[ParsedBatch]:
    """Yield the posts and rejects of one file in batches, with bounded memory. Duplicate posts are not merged.

    Args:
        file: path or URI.
        open_file: opens the file in binary mode; a Parquet file must be seekable.
        source_map: where the values lie; None: the file's exporter is recognised.
        settings: how values are written; they go before those of the map.
        file_format: `csv`, `json` or `parquet`; None: by the name of the file, or else its first bytes.
        base_uri: folder that relative paths of videos are resolved against.
        beside: see `read_post_files`.
        batch_rows: maximum rows of a batch.

    Raises:
        ConfigError: the map does not fit.
        SourceError: the file is of no known format or exporter.
    """
    one_post = partial(read_post_files, [file], open_file, beside=beside)
    try:
        if is_info_file(file) and (source_map is None or source_map.name == YT_DLP):
            yield from one_post(source_map or shipped_maps()[YT_DLP], settings=settings)
            return
        chosen, sample, merged = _choose(open_file, file, source_map, settings or ReadSettings(), file_format)
        if chosen.one_post_per_file and sample.json and sample.json.is_one_row(chosen.rows):
            yield from one_post(chosen, settings=merged)
            return
        yield from _read_many(open_file, chosen, sample, merged, base_uri, batch_rows)
    except (EOFError, zlib.error, gzip.BadGzipFile, lzma.LZMAError) as error:
        raise SourceError(f"{file} is no whole compressed file ({error}): get it again") from error


def _read_many(
    open_file: OpenFile,
    source_map: SourceMap,
    sample: Sample,
    settings: ReadSettings,
    base_uri: str | None,
    batch_rows: int,
) -> Iterator[ParsedBatch]:
    """Read a file of many posts."""
    # Small raw batches bound the Python objects; they are merged into larger ones once they are columns.
    rows = _rows(open_file, source_map, sample, settings, min(batch_rows, _RAW_ROWS))
    columns = (map_rows(source_map, raw_batch, sample.file) for raw_batch in rows)
    parsed = (assemble(batch, source_map, sample.file, base_uri=base_uri, settings=settings) for batch in columns)
    yield from merge_batches(parsed, batch_rows)


def read_post_files(
    files: Sequence[str],
    open_file: OpenFile,
    source_map: SourceMap,
    *,
    beside: Mapping[str, Sequence[str]] | None = None,
    settings: ReadSettings | None = None,
) -> Iterator[ParsedBatch]:
    """Yield the posts and rejects of many files that hold one post each, in batches.

    Args:
        files: paths or URIs.
        open_file: opens one of them.
        source_map: where the values lie.
        beside: the videos and pictures that lie beside a file, by path or URI. Without a video, the extension in the
            file counts, and without pictures, those that it names.
        settings: how values are written.
    """
    settings = (settings or ReadSettings()).over(source_map.settings)
    for rows in json_file.one_row_files(open_file, files, _ITSELF, _RAW_ROWS):
        batch = map_rows(source_map, rows, files[0])
        # The map cannot know what lies beside the file.
        batch = replace(batch, columns={**batch.columns, "video_uri": video_uris(rows, beside or {})})
        if "slides" in batch.lists:
            batch = replace(batch, lists={**batch.lists, "slides": slides(rows, batch.lists["slides"], beside or {})})
        yield assemble(batch, source_map, files, settings=settings)


def is_info_file(file: str) -> bool:
    """Whether a file has the name of an info file of yt-dlp, which holds one post."""
    return plain_name(file).endswith(".info.json")


def choose_map(
    open_file: OpenFile, file: str, source_map: SourceMap | None, settings: ReadSettings, file_format: str | None = None
) -> SourceMap:
    """Return the map that `read` would read a file with. Raises as `read` does."""
    return _choose(open_file, file, source_map, settings, file_format)[0]


def _choose(
    open_file: OpenFile,
    file: str,
    source_map: SourceMap | None,
    settings: ReadSettings,
    file_format: str | None = None,
) -> tuple[SourceMap, Sample, ReadSettings]:
    own = settings.over(source_map.settings) if source_map else settings
    layout = source_map.csv if source_map else CsvLayout()
    sample = read_sample(open_file, file, own.encoding, layout, file_format)
    # A map that the user chose is checked; one that is recognised fits by definition.
    if source_map is not None and not settings.force:
        check_map(source_map, sample)
    if source_map is None or source_map.is_partial:
        recognised = recognise(sample, source_map)
        source_map = source_map.complete(recognised) if source_map else recognised
    return source_map, sample, settings.over(source_map.settings)


def _rows(
    open_file: OpenFile, source_map: SourceMap, sample: Sample, settings: ReadSettings, size: int
) -> Iterator[Rows]:
    if sample.format == JSON:
        paths = source_map.rows or _fitting_rows(source_map, sample)
        return json_file.json_rows(open_file, sample.file, paths, source_map.document_paths(), settings.encoding, size)
    titles = dict.fromkeys(
        title
        for expression in source_map.columns.values()
        for path in expression.all_paths
        for title in sample.titles.find(path)
    )
    if sample.csv and sample.format == CSV:
        return csv_file.csv_rows(open_file, sample.file, sample.csv, titles, settings.encoding, source_map.csv, size)
    return parquet_file.parquet_rows(open_file, sample.file, titles, size)


def _fitting_rows(source_map: SourceMap, sample: Sample) -> tuple[Path, ...]:
    """Paths to rows for a map without any: the first at which the rows have the posts' identifier."""
    paths = sample.row_paths()
    wanted = source_map.columns["post_id"]
    first = [path for path in paths if any(has_value(row, wanted) for row in sample.rows(path))]
    return tuple(dict.fromkeys([*first, *paths]))
