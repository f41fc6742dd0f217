"""`viral ingest`: read scraped data into the posts table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import click
import pyarrow as pa

from jobs.ingesting.files import FileGroup, find_files, group_files
from jobs.ingesting.staging import MergedCounts, ParsedCounts, Staging, merge, split, split_groups, stage
from jobs.runtime.buckets import map_buckets, map_items
from jobs.runtime.session import session
from viral.console.commands import execute
from viral.console.options import ray_options, root_options
from viral.console.output import print_summary
from viral.errors import ConfigError, SourceError, StorageError
from viral.sources import SOURCES, YT_DLP, ParsedBatch, read, read_info_files
from viral.sources.assemble import is_utf8, rejected_file
from viral.storage.store import Store, one_line, open_uri
from viral.tables.bucketed import log2_buckets_for
from viral.tables.places import posts_table, rejects_table
from viral.tables.run_log import record_run
from viral.tables.schemas import POSTS
from viral.tables.staging import staging_folder

MAX_BARE = 0.5  # fraction of posts with nothing but an id: more than a scrape with gaps has
_POST_ID = "{post_id}"


@dataclass(frozen=True)
class IngestSource:
    """Files of scraped data and how to read them.

    Args:
        kind: name of an adapter, one of `viral.sources.SOURCES`.
        files: paths or `s3://` URIs of files or folders.
        columns: for `csv` and `parquet`: post column → column of the file.
        video_uri: template of `video_uri` for posts without one, for example `videos/{post_id}.mp4`.
        name: value of the column `source` of the posts; by default the name of the adapter.

    Raises:
        ConfigError: `video_uri` lacks `{post_id}`, or has other braces.
    """

    kind: str
    files: tuple[str, ...]
    columns: Mapping[str, str] | None = None
    video_uri: str | None = None
    name: str | None = None

    def __post_init__(self) -> None:
        if self.video_uri is not None:
            literal = self.video_uri.replace(_POST_ID, "")
            if literal == self.video_uri or "{" in literal or "}" in literal:
                raise ConfigError(
                    f"--video-uri {self.video_uri!r} must contain {_POST_ID} and no other braces: videos/{_POST_ID}.mp4"
                )


@dataclass
class IngestSummary:
    """Counts of a run: `rows = posts + duplicates + rejects`; `changed` counts the posts that are new or updated.

    `ignored` counts the files of folders that are neither scraped data nor videos, by suffix.
    """

    files: int = 0
    ignored: dict[str, int] = field(default_factory=dict)
    rows: int = 0
    posts: int = 0
    duplicates: int = 0
    rejects: int = 0
    reject_reasons: dict[str, int] = field(default_factory=dict)
    changed: int = 0
    table_rows: int = 0


def run(
    store: Store, source: IngestSource, *, force: bool = False, address: str | None = None, debug: bool = False
) -> IngestSummary:
    """Read the files of a source on the cluster, and merge their posts and rejects into the tables.

    A repeated call changes nothing, and completes a killed run. Runs may overlap.

    Args:
        store: the root.
        source: the files, and how to read them.
        force: accept posts that mostly hold nothing but an id.
        address: Ray cluster to connect to; None: the current Ray session, or a new one on this machine.
        debug: show the output of Ray.

    Raises:
        SourceError: the files cannot be used, or most posts hold nothing but an id. ConfigError: the column map does
        not fit. StorageError: rows were lost on the way.
    """
    found = find_files(source.kind, source.files)
    groups = group_files(found)
    posts, rejects = posts_table(store), rejects_table(store)
    with session(address, debug=debug), staging_folder(store, "ingest") as folder:
        staging = Staging(store, folder)
        parsed = sum(map_items(partial(_stage, staging, source), groups), ParsedCounts())
        if parsed.bare > parsed.posts * MAX_BARE and not force:
            raise _mostly_bare(source, parsed)
        log2_buckets = max(log2_buckets_for(parsed.posts), posts.log2_buckets())
        if log2_buckets:
            list(map_items(partial(split, staging, log2_buckets), split_groups(staging)))
        merged = sum(map_buckets(partial(merge, staging, log2_buckets), log2_buckets), MergedCounts())
        if (merged.staged, merged.rejects) != (parsed.posts, parsed.reject_reasons.total()):
            raise StorageError(
                f"{merged.staged + merged.rejects} of {parsed.rows} rows were found in {store.uri(folder)}: "
                "something else deletes there; run the command again"
            )
    for table in (posts, rejects):
        table.drop_superseded(log2_buckets)  # data files that the merge replaced
    return IngestSummary(
        files=len(found.files),
        ignored=dict(found.ignored),
        rows=parsed.rows,
        posts=merged.posts,
        duplicates=merged.staged - merged.posts,
        rejects=merged.rejects,
        reject_reasons=dict(parsed.reject_reasons),
        changed=merged.changed,
        table_rows=posts.stored_rows(),
    )


def _stage(staging: Staging, source: IngestSource, group: FileGroup) -> ParsedCounts:
    return stage(staging, group.number, _parse(source, group), partial(_complete, source))


def _parse(source: IngestSource, group: FileGroup) -> Iterator[ParsedBatch]:
    """Parse the files of a group; one whose name no table can hold becomes a reject."""
    files = [file for file in group.files if is_utf8(file)]
    if source.kind == YT_DLP and source.columns is None:
        yield from read_info_files(files, open_uri, videos=group.videos)
    else:
        for file in files:
            yield from read(source.kind, file, open_uri, columns=source.columns, base_uri=file.rpartition("/")[0])
    for file in group.files:
        if not is_utf8(file):
            yield rejected_file(source.kind, file, "the name of the file is not UTF-8: rename it")


def _mostly_bare(source: IngestSource, parsed: ParsedCounts) -> SourceError:
    return SourceError(
        f"{parsed.bare} of {parsed.posts} posts hold nothing but an id: {source.kind} is not the source of "
        f"{', '.join(source.files)}, or its columns have other names (--map); add --force to store them all the same"
    )


def _complete(source: IngestSource, posts: pa.Table) -> pa.Table:
    """Set `source` to the user's name, and `video_uri` by the template where it is null."""
    if source.name:
        names = pa.array([source.name] * posts.num_rows, pa.string())
        posts = posts.set_column(posts.column_names.index("source"), POSTS.field("source"), names)
    if source.video_uri:
        pairs = zip(posts["post_id"].to_pylist(), posts["video_uri"].to_pylist(), strict=True)
        uris = [uri or source.video_uri.replace(_POST_ID, post_id) for post_id, uri in pairs]
        column = posts.column_names.index("video_uri")
        posts = posts.set_column(column, POSTS.field("video_uri"), pa.array(uris, pa.string()))
    return posts


@click.command()
@click.argument("kind", type=click.Choice(SOURCES), metavar="SOURCE")
@click.argument("files", nargs=-1, required=True)
@click.option(
    "--map", "pairs", multiple=True, metavar="OURS=THEIRS", help="For csv and parquet: post column=file column."
)
@click.option(
    "--map-file", type=click.Path(dir_okay=False), help="YAML file with such a map: {post_id: id, views: plays, …}."
)
@click.option("--video-uri", help="Video of posts without one, as videos/{post_id}.mp4.")
@click.option("--name", help="Value of the posts' column `source`; by default SOURCE.")
@click.option("--force", is_flag=True, help="Store the posts even if most hold nothing but an id.")
@ray_options
@root_options
def command(
    kind: str,
    files: tuple[str, ...],
    pairs: tuple[str, ...],
    map_file: str | None,
    video_uri: str | None,
    name: str | None,
    force: bool,
    root: str,
    address: str | None,
    as_json: bool,
    debug: bool,
) -> None:
    """Read scraped data into the posts table.

    SOURCE is one of csv, parquet, trending_json, tiktok_api, yt_dlp; FILES are files or folders. Bad rows go to the
    rejects table with their reason. Of several scrapes of a post, the newest known value of each column is stored.
    """
    source = IngestSource(kind, files, column_map(pairs, map_file) or None, video_uri, name)
    store = Store.open(root)
    summary = record_run(store, "ingest", lambda _: run(store, source, force=force, address=address, debug=debug))
    print_summary(summary, as_json=as_json)
    if summary.rejects and not summary.posts:
        reason = max(summary.reject_reasons, key=lambda name: summary.reject_reasons[name])
        raise SourceError(f"all {summary.rejects} rows were rejected, most because: {reason}")


def column_map(pairs: Sequence[str], file: str | None) -> dict[str, str]:
    """Merge the column maps of `--map-file` and `--map`, which takes precedence.

    Raises:
        ConfigError: the file or an option is not a map.
    """
    import yaml

    try:
        columns = yaml.safe_load(Path(file).read_text(encoding="utf-8")) if file else {}
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"cannot read the column map {file}: {one_line(error)}") from error
    if not isinstance(columns, dict):
        raise ConfigError(f"{file} is not a column map: write lines like `post_id: id`")
    if malformed := [pair for pair in pairs if "=" not in pair]:
        raise ConfigError(f"--map {malformed[0]} is not OURS=THEIRS, as in --map post_id=id")
    return {str(target): str(name) for target, name in [*columns.items(), *(pair.split("=", 1) for pair in pairs)]}


if __name__ == "__main__":
    execute(command)
