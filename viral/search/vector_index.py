"""Index of the vectors of one extractor in a feature table, in the root at `search/vectors/<table>/<extractor>`.

It consists of segments that never change. New vectors make a new one, which takes in those that are at most twice as
large, so that a vector is written again only a few times. `known.parquet` says in which segment the vector of a post
is; rows of a segment that it does not name are dead.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from viral.console.output import ProgressCallback
from viral.errors import TableError
from viral.search.index import TEMPORARY, LocalFiles, refresh
from viral.search.segments import MAX_ROWS, Floats, OpenSegment, build, unit, write
from viral.search.snapshots import Snapshot, Snapshots
from viral.search.sources import Files, changed_buckets, covered
from viral.storage.store import Store
from viral.storage.temporary import temporary_folder
from viral.tables.bucketed import BucketedTable, bucket_of
from viral.tables.data_file import DataFile
from viral.tables.schemas import feature_schema

_KNOWN = "known.parquet"
_NO_SEGMENT = -1  # of a post without a vector, as a failed one
_ABSORBED = 2  # times its own rows: segments up to this size are taken in by a new one
_VERSION = "finished_at"  # of a row of the feature table: tells the attempts at a post apart
_KNOWN_SCHEMA = pa.schema(
    [
        pa.field("post_id", pa.string()),
        pa.field("version", pa.int64()),
        pa.field("segment", pa.int32()),
        pa.field("row", pa.int32()),
    ]
)


@dataclass(frozen=True)
class VectorSource:
    """The vectors of an extractor, of length `dim`, in the feature table at `prefix`."""

    store: Store
    prefix: str
    extractor: str
    dim: int

    @property
    def table(self) -> BucketedTable:
        """The feature table."""
        schema = feature_schema((self.extractor,))
        return BucketedTable(self.store, self.prefix, schema, key="post_id", newest_by="attempt", history=True)

    @property
    def snapshots(self) -> Snapshots:
        """The index of the vectors."""
        return Snapshots(self.store, f"search/vectors/{self.prefix.partition('/')[2]}/{self.extractor}")


@dataclass(frozen=True)
class VectorMatch:
    """A post and the cosine of its vector and the example's, 1 for equal ones."""

    post_id: str
    similarity: float


class VectorIndex:
    """The vectors of one snapshot, in a folder of links."""

    def __init__(self, snapshot: Snapshot, folder: Path) -> None:
        known = pq.read_table(folder / _KNOWN)
        self._ids = known["post_id"]
        self._segments = known["segment"].to_numpy()
        self._rows = known["row"].to_numpy()
        self._parts = [
            (self._owners(part["id"], part["rows"]), _open(part, folder, self._segments, self._rows))
            for part in snapshot.about["segments"]
        ]

    @property
    def posts(self) -> int:
        """Number of posts with a vector."""
        return int((self._segments >= 0).sum())

    def vector(self, post_id: str) -> Floats | None:
        """Return the vector of a post, up to its rounding; None without one."""
        index = pc.index(self._ids, post_id).as_py()
        if index < 0 or self._segments[index] < 0:
            return None
        for owners, segment in self._parts:
            row = int(self._rows[index])
            if row < len(owners) and owners[row] == index:
                vector: Floats = unit(segment.vectors(np.array([row], np.int64)))[0]
                return vector
        return None

    def search(self, vector: Floats, count: int) -> list[VectorMatch]:
        """Find the posts nearest to a vector of unit length, nearest first."""
        found: list[tuple[float, int]] = []
        for owners, segment in self._parts:
            similarity, rows = segment.search(vector, count)
            found += zip(similarity.tolist(), owners[rows].tolist(), strict=True)
        # Equal similarities in the order of the ids, so that the same posts come first everywhere.
        found.sort(key=lambda match: (-match[0], match[1]))
        return [VectorMatch(self._ids[index].as_py(), similarity) for similarity, index in found[:count]]

    def _owners(self, segment: int, rows: int) -> npt.NDArray[np.int64]:
        """Index in `known` of each row of a segment; -1 for a dead one."""
        owners = np.full(rows, -1, np.int64)
        mine = np.flatnonzero(self._segments == segment)
        owners[self._rows[mine]] = mine
        return owners


def refresh_vectors(source: VectorSource, files: LocalFiles, progress: ProgressCallback | None = None) -> Snapshot:
    """Bring the index up to date with the feature table."""

    def run(snapshots: Snapshots, before: Snapshot, listed: Files) -> Snapshot | None:
        with temporary_folder(TEMPORARY) as temporary:
            return _VectorBuilder(source, snapshots, before, files, temporary).run(listed[source.prefix], progress)

    return refresh(source.snapshots, [source.table], run)


class _VectorBuilder:
    """Adds to a snapshot what has changed since."""

    def __init__(
        self, source: VectorSource, snapshots: Snapshots, before: Snapshot, files: LocalFiles, temporary: Path
    ) -> None:
        self.source, self.table, self.snapshots, self.snapshot = source, source.table, snapshots, before
        self.files, self.temporary, self.folder = files, temporary, temporary / "index"
        files.place(before, self.folder)
        has_files = bool(before.files)
        self.known = pq.read_table(self.folder / _KNOWN) if has_files else _KNOWN_SCHEMA.empty_table()
        self.parts: list[dict[str, Any]] = list(before.about["segments"]) if has_files else []
        self.next_id: int = before.about["next_id"] if has_files else 0
        self.written: dict[str, Path] = {}
        self.new_rows: list[pa.Table] = []
        self.new_vectors: list[Floats] = []

    def run(self, files: Sequence[DataFile], progress: ProgressCallback | None) -> Snapshot | None:
        """Commit the changes; None if another process has committed meanwhile."""
        before = self.snapshot.about.get("sources", {})
        after = covered({self.source.prefix: files})
        log2_buckets = self.table.log2_buckets()
        buckets = changed_buckets(before, {self.source.prefix: files}, log2_buckets)
        fresh = [file for file in files if file.key not in before.get(self.source.prefix, ())]
        for number, bucket in enumerate(buckets, 1):
            self._change(log2_buckets, bucket, files, fresh)
            # A full segment is committed, so that a run that is killed continues there.
            if self._pending() >= MAX_ROWS and number < len(buckets):
                self._write_segment()
                if not self._commit(before):
                    return None
            if progress:
                progress(number, len(buckets))
        self._write_segment()
        return self._commit(after)

    def _change(self, log2_buckets: int, bucket: int, files: Sequence[DataFile], fresh: Sequence[DataFile]) -> None:
        """Drop the posts of a bucket that changed or are gone from `known`, and collect the new vectors."""
        latest = self.table.read(log2_buckets, bucket, ["post_id", _VERSION], files)
        latest = pa.table([latest["post_id"], latest[_VERSION].cast(pa.int64())], ["post_id", "version"])
        mine = pa.array(bucket_of(self.known["post_id"], log2_buckets) == bucket)
        others, known = self.known.filter(pc.invert(mine)), self.known.filter(mine)
        index = pc.index_in(known["post_id"], latest["post_id"].combine_chunks())
        same = pc.fill_null(pc.equal(latest["version"].take(index), known["version"]), False)
        known = known.filter(same)
        self.known = pa.concat_tables([others, known])
        missing = latest.filter(pc.invert(pc.is_in(latest["post_id"], known["post_id"].combine_chunks())))
        if missing.num_rows:
            self._collect(missing, self._vectors(missing, log2_buckets, bucket, files, fresh))

    def _vectors(
        self, missing: pa.Table, log2_buckets: int, bucket: int, files: Sequence[DataFile], fresh: Sequence[DataFile]
    ) -> pa.ChunkedArray:
        """Read the vectors of rows, null without one. New files have them, unless older files changed as well."""
        for candidates in (fresh, files):
            rows = self.table.read(log2_buckets, bucket, ["post_id", _VERSION, self.source.extractor], candidates)
            index = pc.index_in(missing["post_id"], rows["post_id"].combine_chunks())
            found = rows[_VERSION].cast(pa.int64()).take(index)
            if pc.all(pc.fill_null(pc.equal(found, missing["version"]), False)).as_py():
                return rows[self.source.extractor].take(index)
        return rows[self.source.extractor].take(index)  # merged meanwhile: the next refresh sees other files

    def _collect(self, rows: pa.Table, vectors: pa.ChunkedArray) -> None:
        lengths = set(pc.unique(pc.list_value_length(vectors)).to_pylist()) - {None}
        if lengths - {self.source.dim}:
            raise TableError(
                f"{self.source.prefix} has vectors of {self.source.extractor} of length {min(lengths)}, "
                f"not {self.source.dim}: backfill into another root"
            )
        present = np.asarray(pc.is_valid(vectors))
        dense = np.full((len(vectors), self.source.dim), np.nan, np.float32)
        dense[present] = vectors.drop_null().combine_chunks().flatten().to_numpy().reshape(-1, self.source.dim)
        dense = unit(dense)
        usable = np.isfinite(dense[:, 0])
        self.known = pa.concat_tables([self.known, _placed(rows.filter(pa.array(~usable)), _NO_SEGMENT)])
        if usable.any():
            self.new_rows.append(rows.filter(pa.array(usable)))
            self.new_vectors.append(dense[usable])

    def _pending(self) -> int:
        return sum(map(len, self.new_vectors))

    def _write_segment(self) -> None:
        """Build a segment of the new vectors and of those of small segments."""
        for part in sorted(self.parts, key=self._alive):
            alive = self._alive(part)
            sparse, room = 2 * alive < part["rows"], self._pending() + alive <= MAX_ROWS
            small = self._pending() and alive <= _ABSORBED * self._pending()
            if not alive or (room and (sparse or small)):
                self._absorb(part)
        if not self.new_rows:
            return
        rows, name = pa.concat_tables(self.new_rows), f"{self.next_id}.faiss"
        segment = build(self.new_vectors)
        self.new_vectors, self.new_rows = [], []
        self.written[name] = self.temporary / name
        write(segment, self.written[name])
        self.known = pa.concat_tables([self.known, _placed(rows, self.next_id)])
        part = {"id": self.next_id, "rows": rows.num_rows, "probes": segment.probes, "recall": round(segment.recall, 4)}
        self.parts.append(part)
        self.next_id += 1

    def _alive(self, part: Mapping[str, Any]) -> int:
        return int(pc.sum(pc.equal(self.known["segment"], part["id"])).as_py() or 0)

    def _absorb(self, part: dict[str, Any]) -> None:
        mine = pc.equal(self.known["segment"], part["id"])
        rows = self.known.filter(mine)
        if rows.num_rows:
            name = f"{part['id']}.faiss"
            file = self.written.get(name, self.folder / name)
            opened = OpenSegment(file, part["probes"], np.ones(part["rows"], bool))
            self.new_vectors.append(unit(opened.vectors(rows["row"].to_numpy().astype(np.int64))))
            self.new_rows.append(rows.select(["post_id", "version"]))
        self.known = self.known.filter(pc.invert(mine))
        self.parts.remove(part)
        self.written.pop(f"{part['id']}.faiss", None)

    def _commit(self, sources: Mapping[str, Sequence[str]]) -> Snapshot | None:
        known = self.temporary / _KNOWN
        pq.write_table(self.known.sort_by("post_id"), known, compression="zstd")
        names = [f"{part['id']}.faiss" for part in self.parts]
        kept = {name: self.snapshot.files[name] for name in names if name in self.snapshot.files}
        added = {name: self.written[name] for name in names if name not in kept} | {_KNOWN: known}
        about = {"sources": sources, "segments": self.parts, "next_id": self.next_id}
        committed = self.snapshots.commit(self.snapshot, kept, added, about)
        self.snapshot = committed or self.snapshot
        return committed


def _placed(rows: pa.Table, segment: int) -> pa.Table:
    """Rows of `known` for posts in the order of a segment."""
    count = rows.num_rows
    segments, numbers = pa.array(np.full(count, segment), pa.int32()), pa.array(np.arange(count), pa.int32())
    return pa.table([rows["post_id"], rows["version"], segments, numbers], schema=_KNOWN_SCHEMA)


def _open(
    part: Mapping[str, Any], folder: Path, segments: npt.NDArray[np.int32], rows: npt.NDArray[np.int32]
) -> OpenSegment:
    alive = np.zeros(part["rows"], bool)
    alive[rows[segments == part["id"]]] = True
    return OpenSegment(folder / f"{part['id']}.faiss", part["probes"], alive)
