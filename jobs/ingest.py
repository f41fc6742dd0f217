"""`viral ingest`: read scraped data into the posts table."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import click
import pyarrow as pa

from jobs.runtime.buckets import map_buckets, map_items
from jobs.runtime.session import session
from viral.console.commands import execute
from viral.console.options import ray_options, root_options
from viral.console.output import print_summary
from viral.errors import ConfigError, SourceError, StorageError
from viral.sources import SOURCES, read
from viral.storage import s3
from viral.storage.store import Store, one_line, open_uri
from viral.tables.bucketed import BucketedTable, log2_buckets_for
from viral.tables.places import posts_table, rejects_table
from viral.tables.run_log import record_run
from viral.tables.schemas import POSTS, REJECTS

ROW_BYTES = 400  # scraped bytes per post, a rough guess that only sets the number of buckets
_POST_ID = "{post_id}"
_SUFFIXES: dict[str, str | tuple[str, ...]] = {  # files to read in a folder
    "yt_dlp": ".info.json",
    "csv": ".csv",
    "parquet": ".parquet",
    "trending_json": ".json",
    "tiktok_api": (".json", ".jsonl"),
}


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
    """Counts of a run: `rows = posts + duplicates + rejects`; `changed` counts the posts that are new or updated."""

    files: int = 0
    rows: int = 0
    posts: int = 0
    duplicates: int = 0
    rejects: int = 0
    reject_reasons: dict[str, int] = field(default_factory=dict)
    changed: int = 0
    table_rows: int = 0


def run(store: Store, source: IngestSource, *, address: str | None = None, debug: bool = False) -> IngestSummary:
    """Read the files of a source on the cluster, and merge their posts and rejects into the tables.

    A repeated call changes nothing, and completes a killed run. Raises SourceError or ConfigError if the files or the
    column map cannot be used.
    """
    files = _files(source)
    log2_buckets = max(log2_buckets_for(sum(size for _, size in files) // ROW_BYTES), posts_table(store).log2_buckets())
    staging = f"staging/ingest-{_identity(source)}"
    with session(address, debug=debug):
        summary = _stage(store, staging, source, [name for name, _ in files], log2_buckets)
        for posts, changed in map_buckets(partial(_merge_bucket, store, staging, log2_buckets), log2_buckets):
            summary.posts += posts
            summary.changed += changed
    for table in (posts_table(store), rejects_table(store)):
        table.drop_superseded(log2_buckets)  # data files that the merge replaced
    store.delete_below(staging)
    summary.table_rows = posts_table(store).stored_rows()
    summary.duplicates = summary.rows - summary.rejects - summary.posts  # the merge keeps one row per post
    return summary


def _stage(store: Store, staging: str, source: IngestSource, files: Sequence[str], log2_buckets: int) -> IngestSummary:
    """Stage the rows of all files by bucket, with one task per file."""
    store.delete_below(staging)
    summary = IngestSummary(files=len(files))
    for rows, reasons in map_items(partial(_stage_file, store, staging, source, log2_buckets), files):
        summary.rows += rows
        summary.rejects += sum(reasons.values())
        for reason, count in reasons.items():
            summary.reject_reasons[reason] = summary.reject_reasons.get(reason, 0) + count
    return summary


def _stage_file(
    store: Store, staging: str, source: IngestSource, log2_buckets: int, file: str
) -> tuple[int, dict[str, int]]:
    """Stage the posts and rejects of one file; return its number of rows, and the number of rejects per reason."""
    rows, reasons = 0, dict[str, int]()
    file_id = hashlib.sha256(file.encode()).hexdigest()[:16]
    batches = read(source.kind, file, open_uri, columns=source.columns, base_uri=file.rpartition("/")[0])
    for number, parsed in enumerate(batches):
        # A folder per batch: a task that Ray reruns reads the same batches, and replaces its own rows.
        folder = f"{file_id}-{number:06d}"
        posts = BucketedTable(store, f"{staging}/posts/{folder}", POSTS, key="post_id", newest_by="scraped_at")
        posts.append(_complete(parsed.posts, source), log2_buckets)
        rejects = BucketedTable(store, f"{staging}/rejects/{folder}", REJECTS, key="reject_id")
        rejects.append(parsed.rejects, log2_buckets)
        rows += parsed.rows
        for reason in parsed.rejects["reason"].to_pylist():
            reasons[reason] = reasons.get(reason, 0) + 1
    return rows, reasons


def _merge_bucket(store: Store, staging: str, log2_buckets: int, bucket: int) -> tuple[int, int]:
    """Merge one bucket of the staged rows into the tables; return its number of posts, and how many changed."""
    staged_posts = BucketedTable(store, f"{staging}/posts", POSTS, key="post_id", newest_by="scraped_at", nested=True)
    staged_rejects = BucketedTable(store, f"{staging}/rejects", REJECTS, key="reject_id", nested=True)
    posts, rejects = staged_posts.read(log2_buckets, bucket), staged_rejects.read(log2_buckets, bucket)
    changed = posts_table(store).merge(posts, log2_buckets, bucket)
    rejects_table(store).merge(rejects, log2_buckets, bucket)
    return posts.num_rows, changed


def _complete(posts: pa.Table, source: IngestSource) -> pa.Table:
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


def _files(source: IngestSource) -> list[tuple[str, int]]:
    """List the files to read with their sizes in bytes; of a folder, the files with the suffix of the adapter."""
    files = [file for name in source.files for file in _expand(name, _SUFFIXES[source.kind])]
    if not files:
        raise SourceError(f"no {source.kind} file at {', '.join(source.files)}: name files, or folders with such files")
    return files


def _expand(name: str, suffixes: str | tuple[str, ...]) -> list[tuple[str, int]]:
    if name.startswith("s3://"):
        return _expand_s3(name, suffixes)
    path = Path(name).expanduser().absolute()
    if path.is_file():
        return [(str(path), path.stat().st_size)]
    if not path.is_dir():
        raise SourceError(f"there is no file or folder {path}")
    return _files_in(str(path), suffixes)


def _expand_s3(name: str, suffixes: str | tuple[str, ...]) -> list[tuple[str, int]]:
    from botocore.exceptions import BotoCoreError, ClientError

    name = name.rstrip("/")
    try:
        file = s3.head(name) if s3.split_uri(name)[1] else None  # a bucket has no key
        return [(name, file.size)] if file else _files_in(name, suffixes)
    except (BotoCoreError, ClientError, StorageError) as error:
        raise SourceError(f"cannot list {name}: {one_line(error)}") from error


def _files_in(folder: str, suffixes: str | tuple[str, ...]) -> list[tuple[str, int]]:
    store = Store(folder)
    return sorted((store.uri(info.key), info.size) for info in store.objects("") if info.key.endswith(suffixes))


def _identity(source: IngestSource) -> str:
    text = json.dumps([source.kind, source.files, dict(source.columns or {}), source.video_uri, source.name])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


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
@ray_options
@root_options
def command(
    kind: str,
    files: tuple[str, ...],
    pairs: tuple[str, ...],
    map_file: str | None,
    video_uri: str | None,
    name: str | None,
    root: str,
    address: str | None,
    as_json: bool,
    debug: bool,
) -> None:
    """Read scraped data into the posts table.

    SOURCE is one of csv, parquet, trending_json, tiktok_api, yt_dlp; FILES are files or folders. Bad rows go to the
    rejects table with their reason. Of several scrapes of a post, the newest is stored.
    """
    source = IngestSource(kind, files, column_map(pairs, map_file) or None, video_uri, name)
    store = Store.open(root)
    summary = record_run(store, "ingest", lambda _: run(store, source, address=address, debug=debug))
    print_summary(summary, as_json=as_json)


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
