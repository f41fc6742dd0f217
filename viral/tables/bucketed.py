"""Tables as sets of immutable Parquet files, hashed into buckets by key, so that no step needs all rows at once.

A table is a folder of parts. A part's name says it all: `part-<bits>-<bucket>-<rows>-<digest>.parquet` holds rows whose
keys' hashes end in the `bits` low bits `bucket`. Writers only ever add whole parts; readers merge the parts of a bucket
and keep the newest row of each key. So an interrupted or repeated write can leave a row twice on disk, never twice in
what is read, and compaction (write the merged part, then delete what went into it) is safe to interrupt at any moment.
"""

from __future__ import annotations

import hashlib
import re
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from viral.errors import StorageError
from viral.storage.store import Store, failures_of, one_line
from viral.tables.latest import Choose, changed_rows, each_version, newest_of

BUCKET_ROWS = 32_768  # rows of a bucket that one task holds at once: tens of MB with vectors of `full`
LATE_PARTS, LATE_SHARE = 8, 0.2  # so many parts beside a bucket's largest, or so large a share of it, are merged in
RELISTINGS = 5  # as often a reader looks again for parts that were merged under its eyes
_NAME = re.compile(r"part-(\d+)-(\d+)-(\d+)-[0-9a-f]+\.parquet$")


@dataclass(frozen=True)
class Part:
    """One file of a table, as its name tells it."""

    key: str
    bits: int
    bucket: int
    rows: int

    @classmethod
    def parse(cls, key: str) -> Part | None:
        """The part at `key`; None for any other file."""
        match = _NAME.search(key)
        return cls(key, *(int(group) for group in match.groups())) if match else None

    def may_hold(self, bits: int, bucket: int) -> bool:
        """Whether this part can hold rows of that bucket (of 2^bits), however many buckets it was written for."""
        mask = (1 << min(bits, self.bits)) - 1
        return (self.bucket & mask) == (bucket & mask)


class Parts:
    """The parts below `prefix`, read as one table with one row a key.

    Args:
        store: where.
        prefix: the table's folder, from the root.
        schema: what is written; what is read may have more columns.
        key: the column that names a row.
        newest_by: of two rows with the same key, the one with the larger value here is read (null is smallest).
        history: keep the older rows of a key too, for `versions`; else merging drops them.
        nested: read parts in folders below it too, where several writers have one each.
    """

    def __init__(
        self,
        store: Store,
        prefix: str,
        schema: pa.Schema,
        *,
        key: str,
        newest_by: str | None = None,
        history: bool = False,
        nested: bool = False,
    ) -> None:
        self.store, self.prefix, self.schema, self.key, self.newest_by = store, prefix, schema, key, newest_by
        self.history, self.nested = history, nested

    def parts(self, bits: int = 0, bucket: int = 0) -> list[Part]:
        """The parts that may hold rows of a bucket, by name, or all: a listing, no file is opened."""
        beginnings = self._beginnings(bits, bucket) if bits and not self.nested else [""]
        infos = (info for beginning in beginnings for info in self.store.objects(self.prefix, beginning))
        found = (Part.parse(info.key) for info in infos)
        return sorted((part for part in found if part and part.may_hold(bits, bucket)), key=lambda part: part.key)

    def _beginnings(self, bits: int, bucket: int) -> Iterator[str]:
        """How the names of the parts begin that may hold rows of a bucket: a table of 10^8 rows has 25,000 others."""
        for stem in self.store.stems(self.prefix, "part-", "-"):
            written = int(stem.strip("part-"))
            yield f"{stem}{bucket & ((1 << written) - 1):06d}-" if written <= bits else stem

    def bits(self) -> int:
        """How many low bits of the hash make buckets of at most about BUCKET_ROWS rows."""
        return bits_for(sum(part.rows for part in self.parts()))

    def append(self, rows: pa.Table, bits: int) -> list[str]:
        """Add rows, a part a bucket, and say their keys. The same rows give the same keys: a repeat changes nothing."""
        rows = rows.select(self.schema.names).cast(self.schema)
        buckets = bucket_of(rows[self.key], bits)
        return [
            self._write(rows.filter(pa.array(buckets == bucket)), bits, int(bucket)) for bucket in np.unique(buckets)
        ]

    def read(
        self, bits: int = 0, bucket: int = 0, columns: Sequence[str] | None = None, parts: Sequence[Part] | None = None
    ) -> pa.Table:
        """The newest row of each key of one bucket, in order of key; with no arguments, of the whole table."""
        return self._read(bits, bucket, columns, parts, newest_of)

    def versions(self, bits: int = 0, bucket: int = 0, columns: Sequence[str] | None = None) -> pa.Table:
        """All rows of one bucket that are kept, in order of key, the oldest of each key first."""
        return self._read(bits, bucket, columns, None, each_version)

    def _read(
        self, bits: int, bucket: int, columns: Sequence[str] | None, parts: Sequence[Part] | None, choose: Choose
    ) -> pa.Table:
        wanted = None if columns is None else list(dict.fromkeys([*columns, self.key, *filter(None, [self.newest_by])]))
        parts = self.parts(bits, bucket) if parts is None else parts
        for _ in range(RELISTINGS):
            try:
                merged = self._chosen(self._rows(parts, wanted, bits, bucket), choose)
            except FileNotFoundError:  # merged by another since it was listed: its rows stand in a newer part
                parts = self.parts(bits, bucket)
            else:
                return merged if columns is None else merged.select(list(columns))
        raise StorageError(f"the parts of {self.store.uri(self.prefix)} keep vanishing: let what deletes them end")

    def scan(self, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
        """The table bucket by bucket, each read as `read` does."""
        parts = self.parts()
        bits = bits_for(sum(part.rows for part in parts))
        for bucket in range(1 << bits):
            yield self.read(bits, bucket, columns, parts)

    def merge(self, rows: pa.Table | None, bits: int, bucket: int) -> int:
        """Fold `rows` (later than all that is there) and all parts of that bucket into one; how many rows changed.

        Parts written for fewer buckets are read, and left for `sweep`.
        """
        before = self.parts(bits, bucket)
        keep = each_version if self.history else newest_of
        old = self._read(bits, bucket, None, before, keep)
        new = old if rows is None else self._chosen([old, rows.select(self.schema.names).cast(self.schema)], keep)
        changed = 0 if rows is None or new.equals(old) else changed_rows(old, new, self.key)
        if not changed and len(before) <= 1 and all(part.bits >= bits for part in before):
            return 0
        kept = self._write(new, bits, bucket) if new.num_rows else None
        self.store.delete([part.key for part in before if part.key != kept and part.bits >= bits])
        return changed

    def compact(self, bits: int, bucket: int) -> None:
        """Merge the parts of a bucket where it pays: it writes all rows anew, so a few late ones wait for more."""
        if _pays(self.parts(bits, bucket), bits):
            self.merge(None, bits, bucket)

    def scattered(self, bits: int) -> bool:
        """Whether `compact` would merge any of the 2^bits buckets."""
        buckets: dict[int, list[Part]] = {}
        for part in self.parts():
            buckets.setdefault(part.bucket & ((1 << bits) - 1), []).append(part)
        return any(_pays(parts, bits) for parts in buckets.values())

    def sweep(self, bits: int) -> None:
        """Delete the parts written for fewer than 2^bits buckets that the merges of those buckets have taken in.

        A part that holds the newest row of any key stays, so nothing is lost where a bucket has not been merged. Where
        another run changes the table meanwhile, all stay, for the next sweep.
        """
        parts = self.parts()
        coarse = [part for part in parts if part.bits < bits]
        needed: set[str] = set()
        try:
            for bucket in range(1 << bits) if coarse else ():
                needed.update(part.key for part in self._still_needed(parts, bits, bucket))
        except FileNotFoundError:
            return
        if coarse and set(parts) <= set(self.parts()):
            self.store.delete([part.key for part in coarse if part.key not in needed])

    def _still_needed(self, parts: Sequence[Part], bits: int, bucket: int) -> Iterator[Part]:
        columns, keep = [self.key, *filter(None, [self.newest_by])], each_version if self.history else newest_of
        held = self._chosen(self._rows([part for part in parts if part.bits >= bits], columns, bits, bucket), keep)
        for part in parts:
            if part.bits < bits and part.may_hold(bits, bucket):
                rows = self._load(part, columns, bits, bucket)
                if not self._chosen([rows, held], keep).equals(held):
                    yield part

    def _rows(self, parts: Sequence[Part], columns: list[str] | None, bits: int, bucket: int) -> list[pa.Table]:
        empty = self.schema.empty_table()
        chosen = [part for part in parts if part.may_hold(bits, bucket)]
        return [empty.select(columns or empty.column_names), *(self._load(it, columns, bits, bucket) for it in chosen)]

    def _chosen(self, tables: Sequence[pa.Table], choose: Choose) -> pa.Table:
        """One row of each key, or of each version; of two that are the same in that, the later table's."""
        return choose(pa.concat_tables(tables, promote_options="default"), self.key, self.newest_by)

    def _load(self, part: Part, columns: list[str] | None, bits: int, bucket: int) -> pa.Table:
        uri = self.store.uri(part.key)
        try:
            with failures_of(uri), self.store.input(part.key) as stream, pq.ParquetFile(stream) as file:
                table = file.read(columns)
        except pa.ArrowInvalid as error:
            raise StorageError(
                f"{uri} is damaged: delete it and run again what wrote it ({one_line(error)})"
            ) from error
        if part.bits < bits:
            table = table.filter(pa.array(bucket_of(table[self.key], bits) == bucket))
        return table

    def _write(self, rows: pa.Table, bits: int, bucket: int) -> str:
        rows = rows.sort_by(self.key)
        data = serialise(rows)
        digest = hashlib.sha256("\n".join(self._names(rows)).encode()).hexdigest()[:20]
        key = f"{self.prefix}/part-{bits:02d}-{bucket:06d}-{rows.num_rows}-{digest}.parquet"
        self.store.write(key, data)
        return key

    def _names(self, rows: pa.Table) -> list[str]:
        """What tells these rows from others: keys, and their versions."""
        versions = rows[self.newest_by].to_pylist() if self.newest_by else [""] * rows.num_rows
        return [f"{key} {version}" for key, version in zip(rows[self.key].to_pylist(), versions, strict=True)]


def _pays(parts: Sequence[Part], bits: int) -> bool:
    """Whether merging the parts of a bucket is worth that its rows are written anew."""
    if not parts:
        return False
    *late, most = sorted(part.rows for part in parts)
    coarse = any(part.bits < bits for part in parts)
    return coarse or len(late) >= LATE_PARTS or (bool(late) and sum(late) >= LATE_SHARE * most)


def serialise(rows: pa.Table) -> pa.Buffer:
    """The rows as one Parquet file in memory."""
    sink = pa.BufferOutputStream()
    pq.write_table(rows, sink, compression="zstd")
    return sink.getvalue()


def bits_for(rows: int) -> int:
    """The number of low hash bits that make buckets of at most about BUCKET_ROWS rows out of `rows`."""
    return max(0, -(-rows // BUCKET_ROWS) - 1).bit_length()


def bucket_of(keys: pa.ChunkedArray, bits: int) -> npt.NDArray[np.int64]:
    """The bucket (N,) of each key among 2^bits: the low bits of its CRC-32, the same on every machine for ever."""
    return _hashes(keys) & ((1 << bits) - 1) if bits else np.zeros(len(keys), np.int64)


def share_of(keys: pa.ChunkedArray, bits: int, shares: int) -> npt.NDArray[np.int64]:
    """The share (N,) of each key of a bucket among so many, by the hash's other bits, whatever keys are beside it."""
    return (_hashes(keys) >> bits) % shares


def _hashes(keys: pa.ChunkedArray) -> npt.NDArray[np.int64]:
    return np.fromiter((zlib.crc32(key.encode()) for key in keys.to_pylist()), np.int64, len(keys))
