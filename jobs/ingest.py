"""Scraped data → the posts table."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import click
import pyarrow as pa

from jobs.runtime.buckets import over_buckets
from jobs.runtime.session import session
from viral.console.commands import execute
from viral.console.options import common, on_ray
from viral.console.output import say
from viral.errors import ConfigError, SourceError, StorageError
from viral.sources import SOURCES, read
from viral.storage import s3
from viral.storage.store import Store, one_line, open_any
from viral.tables.bucketed import Parts, bits_for
from viral.tables.places import posts_table, rejects_table
from viral.tables.run_log import recorded
from viral.tables.schemas import POSTS, REJECTS

ROW_BYTES = 400  # of scraped text a post, roughly; only the number of buckets is derived from it
_POST_ID = "{post_id}"
_ENDINGS: dict[str, str | tuple[str, ...]] = {
    "yt_dlp": ".info.json",
    "csv": ".csv",
    "parquet": ".parquet",
    "trending_json": ".json",
    "tiktok_api": (".json", ".jsonl"),
}


@dataclass(frozen=True)
class Source:
    """What to read, and how.

    Args:
        kind: an adapter of `viral.sources`.
        files: paths or `s3://` addresses, of files or of folders of them.
        columns: for `csv` and `parquet`, which of their columns is which of ours.
        video_uri: where the video of a post lies that does not say it itself: `videos/{post_id}.mp4`.
        name: what the posts' column `source` says; by default the adapter's name.

    Raises:
        ConfigError: `video_uri` names nothing of the post, or something that it does not know.
    """

    kind: str
    files: tuple[str, ...]
    columns: Mapping[str, str] | None = None
    video_uri: str | None = None
    name: str | None = None

    def __post_init__(self) -> None:
        if self.video_uri is not None:
            rest = self.video_uri.replace(_POST_ID, "")
            if rest == self.video_uri or "{" in rest or "}" in rest:
                raise ConfigError(
                    f"--video-uri {self.video_uri!r} must hold {_POST_ID} and no other braces: videos/{_POST_ID}.mp4"
                )


@dataclass
class IngestSummary:
    """What became of every row that was read: `rows = posts + duplicates + rejects`."""

    files: int = 0
    rows: int = 0
    posts: int = 0
    duplicates: int = 0
    rejects: int = 0
    reject_reasons: dict[str, int] = field(default_factory=dict)
    changed: int = 0
    table_rows: int = 0


def run(store: Store, source: Source, *, address: str | None = None, debug: bool = False) -> IngestSummary:
    """Read the source's files on the cluster, fold their posts into the table, keep what is no post as a reject.

    The same call again changes nothing; after a kill, it goes through.

    Raises:
        SourceError, ConfigError: the files or the column map cannot be used.
    """
    files = _files(source)
    bits = max(bits_for(sum(size for _, size in files) // ROW_BYTES), posts_table(store).bits())
    staging = f"staging/ingest-{_identity(source)}"
    with session(address, debug=debug):
        summary = _stage(store, staging, source, [name for name, _ in files], bits)
        folded = list(over_buckets(partial(_fold, store, staging, bits), bits))
    for table in (posts_table(store), rejects_table(store)):
        table.sweep(bits)
    store.delete_below(staging)
    summary.posts = sum(row["posts"] for row in folded)
    summary.changed = sum(row["changed"] for row in folded)
    summary.table_rows = sum(part.rows for part in posts_table(store).parts())
    summary.duplicates = summary.rows - summary.rejects - summary.posts
    return summary


def _stage(store: Store, staging: str, source: Source, files: Sequence[str], bits: int) -> IngestSummary:
    """Read every file, a task each, and put its rows where `_fold` finds them by bucket."""
    import ray.data

    store.delete_below(staging)
    summary = IngestSummary(files=len(files))
    dataset = ray.data.from_items([{"file": file} for file in files], override_num_blocks=min(len(files), 1024))
    for row in dataset.map(partial(_stage_file, store, staging, source, bits)).iter_rows():
        summary.rows += row["rows"]
        summary.rejects += row["rejects"]
        for reason, count in json.loads(row["reasons"]).items():
            summary.reject_reasons[reason] = summary.reject_reasons.get(reason, 0) + count
    return summary


def _stage_file(store: Store, staging: str, source: Source, bits: int, row: Mapping[str, Any]) -> dict[str, Any]:
    file, rows, rejects = str(row["file"]), 0, 0
    reasons: dict[str, int] = {}
    folder = hashlib.sha256(file.encode()).hexdigest()[:16]
    base = file.rpartition("/")[0]
    for number, parsed in enumerate(read(source.kind, file, open_any, columns=source.columns, base_uri=base)):
        place = f"{staging}/%s/{folder}-{number:06d}"
        Parts(store, place % "posts", POSTS, key="post_id", newest_by="scraped_at").append(
            _finished(parsed.posts, source), bits
        )
        Parts(store, place % "rejects", REJECTS, key="reject_id").append(parsed.rejects, bits)
        rows, rejects = rows + parsed.rows, rejects + parsed.rejects.num_rows
        _count(reasons, parsed.rejects["reason"].to_pylist())
    return {"rows": rows, "rejects": rejects, "reasons": json.dumps(reasons)}


def _fold(store: Store, staging: str, bits: int, bucket: int) -> dict[str, Any]:
    """Merge one bucket of what was staged into the tables; says how many posts there were, and how many were news."""
    staged_posts = Parts(store, f"{staging}/posts", POSTS, key="post_id", newest_by="scraped_at", nested=True)
    staged_rejects = Parts(store, f"{staging}/rejects", REJECTS, key="reject_id", nested=True)
    posts, rejects = staged_posts.read(bits, bucket), staged_rejects.read(bits, bucket)
    changed = posts_table(store).merge(posts, bits, bucket)
    rejects_table(store).merge(rejects, bits, bucket)
    return {"posts": posts.num_rows, "changed": changed}


def _finished(posts: pa.Table, source: Source) -> pa.Table:
    """The posts with the source's name, and a video URI by the template where they have none."""
    if source.name:
        names = pa.array([source.name] * posts.num_rows, pa.string())
        posts = posts.set_column(posts.column_names.index("source"), POSTS.field("source"), names)
    if source.video_uri:
        pairs = zip(posts["post_id"].to_pylist(), posts["video_uri"].to_pylist(), strict=True)
        uris = [uri or source.video_uri.replace(_POST_ID, post_id) for post_id, uri in pairs]
        posts = posts.set_column(
            posts.column_names.index("video_uri"), POSTS.field("video_uri"), pa.array(uris, pa.string())
        )
    return posts


def _files(source: Source) -> list[tuple[str, int]]:
    """Every file to be read with its size: a folder stands for the files below it that the adapter reads."""
    found = [file for name in source.files for file in _below(name, _ENDINGS[source.kind])]
    if not found:
        raise SourceError(f"no {source.kind} file at {', '.join(source.files)}: name files, or folders that hold some")
    return found


def _below(name: str, endings: str | tuple[str, ...]) -> list[tuple[str, int]]:
    if name.startswith("s3://"):
        return _below_s3(name, endings)
    path = Path(name).expanduser().absolute()
    if path.is_file():
        return [(str(path), path.stat().st_size)]
    if not path.is_dir():
        raise SourceError(f"there is no file or folder {path}")
    return _listed(str(path), endings)


def _below_s3(name: str, endings: str | tuple[str, ...]) -> list[tuple[str, int]]:
    from botocore.exceptions import BotoCoreError, ClientError

    name = name.rstrip("/")
    try:
        file = s3.head(name) if s3.split(name)[1] else None
        return [(name, file.size)] if file else _listed(name, endings)
    except (BotoCoreError, ClientError, StorageError) as error:
        raise SourceError(f"cannot list {name}: {one_line(error)}") from error


def _listed(folder: str, endings: str | tuple[str, ...]) -> list[tuple[str, int]]:
    store = Store(folder)
    return sorted((store.uri(info.key), info.size) for info in store.objects("") if info.key.endswith(endings))


def _identity(source: Source) -> str:
    text = json.dumps([source.kind, source.files, dict(source.columns or {}), source.video_uri, source.name])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _count(reasons: dict[str, int], found: Sequence[str]) -> None:
    for reason in found:
        reasons[reason] = reasons.get(reason, 0) + 1


@click.command()
@click.argument("kind", type=click.Choice(SOURCES), metavar="SOURCE")
@click.argument("files", nargs=-1, required=True)
@click.option("--map", "pairs", multiple=True, metavar="OURS=THEIRS", help="For csv, parquet: a column's name there.")
@click.option("--map-file", type=click.Path(dir_okay=False), help="The same as YAML: {post_id: id, views: plays, …}.")
@click.option("--video-uri", help="Where the videos lie if no column says it: videos/{post_id}.mp4.")
@click.option("--name", help="What the posts' column `source` says; by default SOURCE.")
@on_ray
@common
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

    SOURCE is one of csv, parquet, trending_json, tiktok_api, yt_dlp; FILES are files or folders of them. Bad rows go to
    the rejects table with their reason; of a post that is scraped twice the newest scrape is kept.
    """
    columns = column_map(pairs, map_file)
    source = Source(kind, files, columns or None, video_uri, name)
    store = Store.open(root)
    say(recorded(store, "ingest", lambda _: run(store, source, address=address, debug=debug)), as_json=as_json)


def column_map(pairs: Sequence[str], file: str | None) -> dict[str, str]:
    """The column map of `--map-file` and `--map`, the latter over the former.

    Raises:
        ConfigError: not a map.
    """
    import yaml

    try:
        given = yaml.safe_load(Path(file).read_text(encoding="utf-8")) if file else {}
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"cannot read the column map {file}: {one_line(error)}") from error
    if not isinstance(given, dict):
        raise ConfigError(f"{file} holds no column map: write lines like `post_id: id`")
    if wrong := [pair for pair in pairs if "=" not in pair]:
        raise ConfigError(f"--map {wrong[0]} is not OURS=THEIRS, as in --map post_id=id")
    return {str(ours): str(theirs) for ours, theirs in [*given.items(), *(pair.split("=", 1) for pair in pairs)]}


if __name__ == "__main__":
    execute(command)
