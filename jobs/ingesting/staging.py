"""Rows of an ingest on their way to the tables: parsed and counted, split into buckets, merged."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from viral.errors import StorageError
from viral.sources import Findings, ParsedBatch
from viral.storage.store import Store
from viral.tables.bucketed import BucketedTable, bucket_of
from viral.tables.data_file import DataFile, read_data_file, write_data_file
from viral.tables.places import posts_table, rejects_table
from viral.tables.schemas import COUNTS, POSTS

POSTS_KIND, REJECTS_KIND = "posts", "rejects"
WRITE_BYTES = 64 << 20  # of rows that a task holds before it writes a file: some 100,000 posts
SPLIT_ROWS = 500_000  # that one task splits into buckets: some 300 MB
_WITHOUT_CONTENT = ("post_id", "source", "posted_at_from", "kind")  # columns that say nothing about a post


@dataclass
class ParsedCounts:
    """Counts of parsed rows. `bare` posts hold nothing but an id; `maps` counts the rows that each map has read."""

    rows: int = 0
    posts: int = 0
    bare: int = 0
    reject_reasons: Counter[str] = field(default_factory=Counter)
    maps: Counter[str] = field(default_factory=Counter)
    findings: Findings = field(default_factory=Findings)

    def add(self, batch: ParsedBatch) -> None:
        """Count a batch."""
        self.rows += batch.rows
        self.posts += batch.posts.num_rows
        self.bare += _count_bare(batch.posts)
        self.reject_reasons.update(batch.rejects["reason"].to_pylist())
        self.maps[batch.source] += batch.rows
        self.findings += batch.findings

    def __add__(self, other: ParsedCounts) -> ParsedCounts:
        return ParsedCounts(
            self.rows + other.rows,
            self.posts + other.posts,
            self.bare + other.bare,
            self.reject_reasons + other.reject_reasons,
            self.maps + other.maps,
            self.findings + other.findings,
        )


@dataclass(frozen=True)
class MergedCounts:
    """Counts of one bucket: staged rows of posts, distinct posts among them, posts that changed, and rejects.

    `differing` counts the rows whose counts differ from another row of the same post and time of scraping.
    """

    staged: int = 0
    posts: int = 0
    changed: int = 0
    rejects: int = 0
    differing: int = 0

    def __add__(self, other: MergedCounts) -> MergedCounts:
        return MergedCounts(
            self.staged + other.staged,
            self.posts + other.posts,
            self.changed + other.changed,
            self.rejects + other.rejects,
            self.differing + other.differing,
        )


@dataclass(frozen=True)
class Staging:
    """Staged posts and rejects of one run: files below `folder`, which no other run writes to."""

    store: Store
    folder: str

    def table(self, kind: str) -> BucketedTable:
        """Table into which the rows of a kind are merged."""
        return posts_table(self.store) if kind == POSTS_KIND else rejects_table(self.store)

    def write(self, kind: str, path: str, rows: pa.Table) -> None:
        """Write rows as one file below a path, of which each task has its own: equal files have the same name."""
        schema = self.table(kind).schema
        # No file for no rows: listings of a bucket stay short.
        if rows.num_rows:
            write_data_file(self.store, f"{self.folder}/{path}", rows.select(schema.names).cast(schema), 0, 0)

    def files(self, path: str) -> list[DataFile]:
        """List the files below a path, by name."""
        files = (DataFile.parse(info.key) for info in self.store.objects(f"{self.folder}/{path}"))
        return sorted(file for file in files if file)

    def read(self, kind: str, files: Iterable[DataFile]) -> pa.Table:
        """Read all rows of some files, in their order."""
        schema = self.table(kind).schema
        tables = (read_data_file(self.store, file.key, schema, None) for file in files)
        return pa.concat_tables([schema.empty_table(), *tables])

    def parsed(self, kind: str) -> str:
        """Path of the rows as they were parsed."""
        return f"parsed/{kind}"

    def bucket(self, kind: str, log2_buckets: int, bucket: int) -> str:
        """Path of the rows of one bucket."""
        # With a single bucket there is nothing to split: the rows as parsed are that bucket.
        return f"buckets/{kind}/{bucket:06d}" if log2_buckets else self.parsed(kind)


class _Writer:
    """Writes the rows of one kind and group, a file per `WRITE_BYTES`."""

    def __init__(self, staging: Staging, kind: str, group: int) -> None:
        self.staging, self.kind, self.group = staging, kind, group
        self.waiting: list[pa.Table] = []
        self.waiting_bytes = self.written = 0

    def add(self, rows: pa.Table) -> None:
        """Queue rows; write the queue once it exceeds `WRITE_BYTES`."""
        self.waiting.append(rows)
        self.waiting_bytes += rows.nbytes
        if self.waiting_bytes > WRITE_BYTES:
            self.flush()

    def flush(self) -> None:
        """Write the queued rows as one file."""
        if self.waiting:
            path = f"{self.staging.parsed(self.kind)}/{self.group:06d}-{self.written:06d}"
            self.staging.write(self.kind, path, pa.concat_tables(self.waiting))
            self.waiting, self.waiting_bytes, self.written = [], 0, self.written + 1


def stage(
    staging: Staging, group: int, batches: Iterable[ParsedBatch], complete: Callable[[pa.Table], pa.Table]
) -> ParsedCounts:
    """Write the posts, after `complete`, and the rejects of a group of files.

    A task that Ray reruns parses the same batches, and writes the same files again.
    """
    counts = ParsedCounts()
    posts, rejects = (_Writer(staging, kind, group) for kind in (POSTS_KIND, REJECTS_KIND))
    for batch in batches:
        counts.add(batch)
        posts.add(complete(batch.posts))
        rejects.add(batch.rejects)
    posts.flush()
    rejects.flush()
    return counts


def split_groups(staging: Staging) -> list[tuple[str, int, list[DataFile]]]:
    """Divide the parsed files of each kind into groups of at most `SPLIT_ROWS` rows, unless a single file has more.

    Returns:
        Kind, number and files of each group.
    """
    groups: list[tuple[str, int, list[DataFile]]] = []
    for kind in (POSTS_KIND, REJECTS_KIND):
        # Full, so that the first file opens the first group.
        rows = SPLIT_ROWS
        for file in staging.files(staging.parsed(kind)):
            if rows + file.rows > SPLIT_ROWS:
                groups.append((kind, len(groups), []))
                rows = 0
            groups[-1][2].append(file)
            rows += file.rows
    return groups


def split(staging: Staging, log2_buckets: int, group: tuple[str, int, list[DataFile]]) -> None:
    """Split the rows of a group into buckets, so that merging a bucket lists and reads only its own rows."""
    kind, number, files = group
    rows = staging.read(kind, files)
    buckets = bucket_of(rows[staging.table(kind).key], log2_buckets)
    for bucket in np.unique(buckets):
        path = f"{staging.bucket(kind, log2_buckets, int(bucket))}/{number:06d}"
        staging.write(kind, path, rows.filter(pa.array(buckets == bucket)))


def merge(staging: Staging, log2_buckets: int, bucket: int) -> MergedCounts:
    """Merge the staged rows of one bucket into the tables.

    Raises:
        StorageError: a post is not in the table afterwards.
    """
    posts, rejects = (
        staging.read(kind, staging.files(staging.bucket(kind, log2_buckets, bucket)))
        for kind in (POSTS_KIND, REJECTS_KIND)
    )
    table = staging.table(POSTS_KIND)
    changed = table.merge(posts, log2_buckets, bucket) if posts.num_rows else 0
    if rejects.num_rows:
        staging.table(REJECTS_KIND).merge(rejects, log2_buckets, bucket)
    ids = posts["post_id"].unique()
    # Read back what was written: a store that loses writes is noticed here.
    stored = table.read(log2_buckets, bucket, ["post_id"])["post_id"].combine_chunks()
    if lost := len(ids) - pc.sum(pc.is_in(ids, stored), min_count=0).as_py():
        raise StorageError(f"{lost} posts are not in the table after they were written: run the command again")
    differing = _count_differing(posts) if len(ids) < posts.num_rows else 0
    return MergedCounts(posts.num_rows, len(ids), changed, rejects.num_rows, differing)


def _count_bare(posts: pa.Table) -> int:
    """Count the posts without a value in any column but the id."""
    bare = np.ones(posts.num_rows, bool)
    for name in set(POSTS.names) - set(_WITHOUT_CONTENT):
        column = posts[name]
        # An empty list says as little as null.
        known = pc.greater(pc.list_value_length(column), 0) if name == "hashtags" else column.is_valid()
        if name == "posted_at":
            known = pc.and_(known, posts["posted_at_from"].is_null())  # the identifier may hold it
        bare &= ~np.asarray(pc.fill_null(known, False), bool)
    return int(bare.sum())


def _count_differing(posts: pa.Table) -> int:
    keys = ["post_id", "scraped_at"]
    # A key with two different sets of counts appears twice among the distinct rows.
    distinct = posts.group_by([*keys, *COUNTS]).aggregate([])
    return int(distinct.num_rows - distinct.group_by(keys).aggregate([]).num_rows)
