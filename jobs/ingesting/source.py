"""What an ingest reads: files, their map and settings; parsed by group, or looked at before Ray starts."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa

from jobs.ingesting.files import FileGroup, FoundFiles
from viral.console.output import in_submitted_job
from viral.errors import ConfigError, SourceError
from viral.sources import (
    YT_DLP,
    Findings,
    ParsedBatch,
    ReadSettings,
    SourceMap,
    build_map,
    read,
    read_post_files,
    shipped_maps,
)
from viral.sources.checks import refuse_misfits
from viral.sources.opened import FORMATS, plain_name
from viral.sources.reading import BATCH_ROWS, choose_map, is_info_file
from viral.sources.rejects import is_utf8, rejected_file
from viral.storage.store import one_line, open_uri
from viral.tables.schemas import PHOTOS, POSTS

_POST_ID = "{post_id}"
_TRIED = 5  # files of a folder of which the first of a known exporter is checked before Ray starts
_CHECKED_ROWS = 2_000  # of it: enough to see a wrong map, and few to read twice


@dataclass(frozen=True)
class IngestSource:
    """Files of scraped data and how to read them.

    Args:
        kind: name of a shipped map, or a format: `csv`, `json`, `parquet`; None: each file is recognised.
        files: paths or `s3://` URIs of files or folders.
        columns: content of the user's own map: post column → column or path of the file. Without `post_id`, it
            completes the map that is recognised.
        is_partial: it does so with a `post_id`, too.
        map_name: name of the user's own map.
        video_uri: template of `video_uri` for posts without one, for example `videos/{post_id}.mp4`.
        name: value of the column `source` of the posts; by default the name of the map.
        settings: how values are written.

    Raises:
        ConfigError: there is no such map, the user's own is malformed, or `video_uri` lacks `{post_id}` or has other
        braces.
    """

    kind: str | None
    files: tuple[str, ...]
    columns: Mapping[str, Any] | None = None
    video_uri: str | None = None
    name: str | None = None
    settings: ReadSettings = field(default_factory=ReadSettings)
    is_partial: bool = False
    map_name: str = "own"

    def __post_init__(self) -> None:
        if self.kind is not None and self.kind not in kinds():
            raise ConfigError(f"there is no source {self.kind!r}; there are: {', '.join(kinds())}")
        if self.video_uri is not None:
            literal = self.video_uri.replace(_POST_ID, "")
            if literal == self.video_uri or "{" in literal or "}" in literal:
                raise ConfigError(
                    f"--video-uri {self.video_uri!r} must contain {_POST_ID} and no other braces: videos/{_POST_ID}.mp4"
                )
        _ = self.source_map  # checks it

    @cached_property
    def source_map(self) -> SourceMap | None:
        """The map for all files; None if each file is recognised."""
        if self.columns is not None:
            name = self.kind or self.map_name
            base = {"extends": self.kind} if self.kind in shipped_maps() else {}
            return build_map(name, {**base, **self.columns}, by_user=True, is_partial=self.is_partial and not base)
        return None if self.kind is None or self.kind in FORMATS else shipped_maps()[self.kind]

    def complete(self, posts: pa.Table) -> pa.Table:
        """Set `source` to the user's name, and `video_uri` by the template where it is null, except of photo sets."""
        if self.name:
            names = pa.array([self.name] * posts.num_rows, pa.string())
            posts = posts.set_column(posts.column_names.index("source"), POSTS.field("source"), names)
        if self.video_uri:
            rows = posts.select(["post_id", "video_uri", "kind"]).to_pylist()
            named = [self.video_uri.replace(_POST_ID, row["post_id"]) for row in rows]
            # A photo set has slides in place of a video.
            uris = [
                row["video_uri"] or (None if row["kind"] == PHOTOS else uri)
                for row, uri in zip(rows, named, strict=True)
            ]
            column = posts.column_names.index("video_uri")
            posts = posts.set_column(column, POSTS.field("video_uri"), pa.array(uris, pa.string()))
        return posts


def kinds() -> tuple[str, ...]:
    """Names of the shipped maps, and of the formats."""
    return (*sorted(shipped_maps()), *FORMATS)


def parse_group(source: IngestSource, group: FileGroup, batch_rows: int = BATCH_ROWS) -> Iterator[ParsedBatch]:
    """Parse the files of a group; one of a folder that cannot be read, or whose name no table can hold, is a reject."""
    # Columns of tables are UTF-8: a name of other bytes can be neither stored nor logged.
    files = [file for file in group.files if is_utf8(file)]
    single = [file for file in files if _holds_one_post(source, file)]
    if single:
        one_post = source.source_map or shipped_maps()[YT_DLP]
        yield from read_post_files(single, open_uri, one_post, beside=group.beside, settings=source.settings)
    for file in files:
        if not _holds_one_post(source, file):
            yield from _parse_file(source, group, file, batch_rows)
    for file in group.files:
        if not is_utf8(file):
            yield rejected_file(source.kind or "none", file, "the name of the file is not UTF-8: rename it")


def _holds_one_post(source: IngestSource, file: str) -> bool:
    if source.source_map is None or source.source_map.name == YT_DLP:
        return is_info_file(file)
    return source.source_map.one_post_per_file and plain_name(file).endswith(".json")


def _parse_file(source: IngestSource, group: FileGroup, file: str, batch_rows: int) -> Iterator[ParsedBatch]:
    base, known = file.rpartition("/")[0], source.kind if source.kind in FORMATS else None
    settings = source.settings
    try:
        yield from read(
            file,
            open_uri,
            source.source_map,
            settings=settings,
            file_format=known,
            base_uri=base,
            beside=group.beside,
            batch_rows=batch_rows,
        )
    except SourceError as error:
        # A file that the user named must be readable; one found in a folder is counted, and the others are read.
        if file in group.named:
            raise
        yield rejected_file(source.kind or "none", file, one_line(error))


def check_first(source: IngestSource, found: FoundFiles) -> None:
    """Read the start of a file, so that a map that does not fit is noticed before Ray starts.

    Raises:
        ConfigError, SourceError: no file fits, or most values of a column cannot be read.
    """
    for number, (file, _) in enumerate(found.files):
        if not is_utf8(file):
            continue
        try:
            group = FileGroup(0, (file,), found.beside, frozenset([file]))
            # As if the user had named it: an unreadable file raises here instead of becoming a reject.
            batch = next(parse_group(source, group, _CHECKED_ROWS), None)
        except SourceError:
            if file in found.named or number == len(found.files) - 1:
                raise
            if number == _TRIED - 1:
                return  # the rest is tried where it is read: each file that is none becomes a reject
            continue
        # One file that fits is enough; the others are checked together, after parsing.
        if batch is not None and not source.settings.force:
            refuse_misfits(batch.findings, file)
        if batch is not None:
            _refuse_left_behind(batch, file)
        return


def _refuse_left_behind(batch: ParsedBatch, file: str) -> None:
    """Refuse a file that was sent with a job, if its posts name videos that were not.

    Raises:
        SourceError: their videos would be looked for in the job's working directory, which goes with the job.
    """
    if not in_submitted_job():
        return
    here = f"{Path.cwd()}{os.sep}"
    if any((uri or "").startswith(here) for uri in batch.posts["video_uri"].to_pylist()):
        raise SourceError(
            f"{file.removeprefix(here)} was sent with the job, and the videos that it names were not: copy both to the "
            "object storage (s3://…) or to a folder that all nodes share, and ingest them from there"
        )


def first_rows(source: IngestSource, found: FoundFiles, count: int) -> tuple[list[ParsedBatch], Findings]:
    """Parse the first rows of the files, as they would be stored."""
    batches: list[ParsedBatch] = []
    rows, findings = 0, Findings()
    for file, _ in found.files:
        group = FileGroup(0, (file,), found.beside, frozenset(found.named))
        # The first batch of a file holds `count` rows, if the file has as many.
        for batch in islice(parse_group(source, group, count), 1):
            batches.append(batch)
            findings += batch.findings
            rows += batch.rows
        if rows >= count:
            break
    return batches, findings


def guessed_map(source: IngestSource, found: FoundFiles) -> dict[str, Any]:
    """Content of a map file that reads the first file as its guessed map does; empty where nothing is guessed."""
    file = found.files[0][0] if found.files else ""
    if not is_utf8(file) or not file or _holds_one_post(source, file):
        return {}
    kind = source.kind if source.kind in FORMATS else None
    try:
        chosen = choose_map(open_uri, file, source.source_map, source.settings, kind)
    except SourceError:  # a file of a folder, which becomes a reject
        return {}
    if not chosen.is_guess:
        return {}
    columns = {name: chosen.columns[name].text for name in POSTS.names if name in chosen.columns}
    return {**columns, **(source.columns or {})}


def own_map(pairs: Sequence[str], file: str | None) -> dict[str, Any]:
    """Merge the maps of `--map-file` and `--map`, which takes precedence.

    Raises:
        ConfigError: the file or an option is not a map.
    """
    import yaml

    try:
        columns = yaml.safe_load(Path(file).read_text(encoding="utf-8")) if file else {}
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"cannot read the map {file}: {one_line(error)}") from error
    if not isinstance(columns, dict):
        raise ConfigError(f"{file} is not a map: write lines like `post_id: id`")
    if malformed := [pair for pair in pairs if "=" not in pair]:
        raise ConfigError(f"--map {malformed[0]} is neither a name from --list nor OURS=THEIRS, as in --map post_id=id")
    # YAML reads a key such as 1 as a number; column names are text.
    return {**{str(key): value for key, value in columns.items()}, **dict(pair.split("=", 1) for pair in pairs)}
