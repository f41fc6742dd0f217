"""`viral ingest`: read scraped data into the posts table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import click

from jobs.ingesting.dry_run import list_maps, print_first_rows
from jobs.ingesting.files import FileGroup, FoundFiles, find_files, group_files
from jobs.ingesting.source import IngestSource, check_first, kinds, own_map, parse_group
from jobs.ingesting.staging import MergedCounts, ParsedCounts, Staging, merge, split, split_groups, stage
from jobs.runtime.buckets import map_buckets, map_items
from jobs.runtime.session import session
from viral.console.commands import execute
from viral.console.options import no_root_error, optional_root_options, ray_options
from viral.console.output import all_failed, print_summary
from viral.errors import ConfigError, SourceError, StorageError
from viral.sources import ReadSettings
from viral.sources.checks import list_warnings, refuse_misfits
from viral.sources.settings import DATE_ORDERS
from viral.storage.store import Store
from viral.tables.bucketed import log2_buckets_for
from viral.tables.places import posts_table, rejects_table
from viral.tables.run_log import record_run
from viral.tables.staging import staging_folder

MAX_BARE = 0.5  # fraction of posts with nothing but an id: more than a scrape with gaps has


@dataclass
class IngestSummary:
    """Counts of a run: `rows = posts + duplicates + rejects`; `changed` counts the posts that are new or updated.

    `maps` counts the rows by the map that read them, `ignored` the files of folders that are neither scraped data nor
    videos, by suffix, `unreadable` the values that are null because they could not be read, by column.
    """

    files: int = 0
    maps: dict[str, int] = field(default_factory=dict)
    ignored: dict[str, int] = field(default_factory=dict)
    rows: int = 0
    posts: int = 0
    duplicates: int = 0
    rejects: int = 0
    reject_reasons: dict[str, int] = field(default_factory=dict)
    unreadable: dict[str, int] = field(default_factory=dict)
    changed: int = 0
    table_rows: int = 0
    warnings: list[str] = field(default_factory=list)


def run(store: Store, source: IngestSource, *, address: str | None = None, debug: bool = False) -> IngestSummary:
    """Read the files of a source on the cluster, and merge their posts and rejects into the tables.

    A repeated call changes nothing, and completes a killed run. Runs may overlap.

    Args:
        store: the root.
        source: the files, and how to read them.
        address: Ray cluster to connect to; None: the current Ray session, or a new one on this machine.
        debug: show the output of Ray.

    Raises:
        SourceError: the files cannot be used, or the rows show that the map does not fit. ConfigError: the user's map
        does not fit. StorageError: rows were lost on the way.
    """
    found = find_files(source.kind, source.files)
    # Before Ray starts, which takes seconds: most mistakes show in the first rows.
    check_first(source, found)
    groups = group_files(found)
    posts, rejects = posts_table(store), rejects_table(store)
    with session(address, store, debug=debug), staging_folder(store, "ingest") as folder:
        staging = Staging(store, folder)
        parsed = sum(map_items(partial(_stage, staging, source), groups), ParsedCounts())
        # All files are parsed, nothing is merged yet: a refusal leaves the tables as they were.
        if not source.settings.force:
            _refuse(source, parsed)
        # By the larger of the new rows and the table: a bucket of both must fit in memory.
        log2_buckets = max(log2_buckets_for(parsed.posts), posts.log2_buckets())
        merged = _merge_staged(staging, parsed, log2_buckets)
    for table in (posts, rejects):
        table.drop_superseded(log2_buckets)  # data files that the merge replaced
    return _summarise(found, parsed, merged, posts.stored_rows())


def _stage(staging: Staging, source: IngestSource, group: FileGroup) -> ParsedCounts:
    return stage(staging, group.number, parse_group(source, group), source.complete)


def _refuse(source: IngestSource, parsed: ParsedCounts) -> None:
    """Refuse rows that show that the map does not fit."""
    files = ", ".join(source.files)
    refuse_misfits(parsed.findings, files)
    if parsed.bare > parsed.posts * MAX_BARE:
        raise SourceError(
            f"{parsed.bare} of {parsed.posts} posts hold nothing but an id: {source.kind or 'this'} is not the source "
            f"of {files}, or its columns have other names (--map); add --force to store them all the same"
        )


def _merge_staged(staging: Staging, parsed: ParsedCounts, log2_buckets: int) -> MergedCounts:
    """Split the staged rows into buckets if there are several, and merge each into the tables.

    Raises:
        StorageError: rows were lost on the way.
    """
    if log2_buckets:
        list(map_items(partial(split, staging, log2_buckets), split_groups(staging)))
    merged = sum(map_buckets(partial(merge, staging, log2_buckets), log2_buckets), MergedCounts())
    # Every parsed row must have arrived: counts on both sides of the staging folder.
    if (merged.staged, merged.rejects) != (parsed.posts, parsed.reject_reasons.total()):
        folder = staging.store.uri(staging.folder)
        raise StorageError(
            f"{merged.staged + merged.rejects} of {parsed.rows} rows were found in {folder}: "
            "something else deletes there; run the command again"
        )
    return merged


def _summarise(found: FoundFiles, parsed: ParsedCounts, merged: MergedCounts, table_rows: int) -> IngestSummary:
    return IngestSummary(
        files=len(found.files),
        maps=dict(parsed.maps),
        ignored=dict(found.ignored),
        rows=parsed.rows,
        posts=merged.posts,
        duplicates=merged.staged - merged.posts,
        rejects=merged.rejects,
        reject_reasons=dict(parsed.reject_reasons),
        unreadable=dict(parsed.findings.unreadable),
        changed=merged.changed,
        table_rows=table_rows,
        warnings=_warnings(parsed, merged),
    )


def _warnings(parsed: ParsedCounts, merged: MergedCounts) -> list[str]:
    warnings = list_warnings(parsed.findings)
    if merged.differing:
        warnings.append(
            f"{merged.differing} row{'s differ' if merged.differing > 1 else ' differs'} from another of the same post "
            "and time of scraping: the later one is stored"
        )
    return warnings


def _options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Options that say how the files are to be read."""
    for option in (
        click.option("--force", is_flag=True, help="Store rows that look wrong: mostly bare, unreadable or rounded."),
        click.option("--photos", is_flag=True, help="Keep photo sets, as posts of the kind `photos`."),
        click.option("--name", help="Value of the posts' column `source`; by default the name of the map."),
        click.option("--video-uri", help="Video of posts without one, as videos/{post_id}.mp4."),
        click.option("--scraped-at", metavar="TIME", help="Time of scraping of rows without one, ISO 8601."),
        click.option("--dates", type=click.Choice(DATE_ORDERS), help="Order of numeric dates."),
        click.option("--zone", metavar="ZONE", help="Zone of times without one, as Europe/Berlin; default: UTC."),
        click.option("--locale", metavar="LOCALE", help="How numbers are written, as de: 1.000 is a thousand."),
        click.option("--encoding", metavar="NAME", help="Encoding of text files; default: UTF-8, or by their mark."),
        click.option("--map-file", type=click.Path(dir_okay=False), help="YAML file with a map: {post_id: id, …}."),
        click.option(
            "--map",
            "pairs",
            multiple=True,
            metavar="NAME|OURS=THEIRS",
            help="A known exporter, or where one column is, as views=plays. Repeatable.",
        ),
    ):
        function = option(function)
    return function


@click.command()
@click.argument("files", nargs=-1, metavar="[SOURCE] FILES...")
@click.option("--list", "listing", is_flag=True, help="List the known exporters.")
@click.option("--dry-run", type=click.IntRange(min=1), metavar="N", help="Print the first N rows, and store nothing.")
@_options
@ray_options
@optional_root_options
def command(
    files: tuple[str, ...],
    listing: bool,
    dry_run: int | None,
    pairs: tuple[str, ...],
    map_file: str | None,
    video_uri: str | None,
    name: str | None,
    root: str | None,
    address: str | None,
    as_json: bool,
    debug: bool,
    **written: Any,
) -> None:
    """Read scraped data into the posts table.

    FILES are CSV, JSON or Parquet files of any exporter, or folders of them. SOURCE, a name from --list or a format, is
    needed only where the exporter is not recognised. Rows without a post go to the rejects table with their reason. Of
    several scrapes of a post, the newest known value of each column is stored.
    """
    if listing:
        list_maps(as_json=as_json)
        return
    source = _source(files, pairs, map_file, video_uri, name, written)
    if dry_run:
        print_first_rows(source, dry_run, as_json=as_json)
        return
    if root is None:
        raise no_root_error()
    store = Store.open(root)
    summary = record_run(store, "ingest", lambda _: run(store, source, address=address, debug=debug))
    print_summary(summary, as_json=as_json)
    if summary.rejects and not summary.posts:
        raise all_failed(summary.rejects, "rows were rejected", summary.reject_reasons)


def _source(
    files: tuple[str, ...],
    pairs: tuple[str, ...],
    map_file: str | None,
    video_uri: str | None,
    name: str | None,
    written: dict[str, Any],
) -> IngestSource:
    """Build the source from the options; the first of several files may be the name of a map or a format."""
    kind = None
    # A single argument is always a file, even one called like an exporter.
    if len(files) > 1 and files[0] in kinds():
        kind, *files = files  # type: ignore[assignment]  # a list serves
    if named := [pair for pair in pairs if pair in kinds()]:
        kind, pairs = named[-1], tuple(pair for pair in pairs if pair not in named)
    if not files:
        raise ConfigError("name files or folders to read; --list shows the known exporters")
    columns, settings = own_map(pairs, map_file) or None, _settings(**written)
    # Options name single columns; only a file is a whole map.
    whole = {"map_name": Path(map_file).stem} if map_file else {"is_partial": True}
    return IngestSource(kind, tuple(files), columns, video_uri, name, settings, **whole)


def _settings(scraped_at: str | None, **written: Any) -> ReadSettings:
    try:
        moment = datetime.fromisoformat(scraped_at) if scraped_at else None
    except ValueError:
        raise ConfigError(f"--scraped-at {scraped_at!r} is not a time: write it as 2024-06-01T12:00:00Z") from None
    return replace(ReadSettings(**written), scraped_at=moment)


if __name__ == "__main__":
    execute(command)
