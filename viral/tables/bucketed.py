"""Tables as sets of immutable Parquet files, hashed into buckets by key, so that no step needs all rows in memory.

A table is a folder of data files named `part-<log2_buckets>-<bucket>-<rows>-<digest>.parquet`. A file holds the rows of
one bucket: those whose key hashes to `bucket` in its `log2_buckets` low bits. Writers only add whole files; readers
merge the files of a bucket and keep the latest row per key. An interrupted or repeated write can therefore leave a row
twice on disk, but readers see it once, and compaction (write the merged file, then delete its inputs) can be
interrupted at any moment. A file's name covers its content, so two writers never replace each other's file by another.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from viral.errors import StorageError
from viral.storage.store import Store
from viral.tables.data_file import DataFile, read_data_file, write_data_file
from viral.tables.latest import SelectRows, all_versions, changed_rows, latest_per_key

BUCKET_ROWS = 32_768  # rows that one task holds in memory: tens of MB with the vectors of the feature set `full`
# A merge rewrites the whole bucket, so it waits until there are this many files besides the largest one, or until
# they hold this fraction of its rows.
MERGE_FILES, MERGE_FRACTION = 8, 0.2
LISTING_ATTEMPTS = 5  # before a reader gives up on files that other writers keep merging away


class BucketedTable:
    """The data files below `prefix`, read as one table with one row per key.

    Args:
        store: the root.
        prefix: the table's folder below the root.
        schema: the columns to write; files with more columns can be read.
        key: the column that identifies a row.
        newest_by: of rows with the same key, the one with the largest value in this column is read (null is smallest).
        history: keep older rows of a key for `versions`; otherwise merging drops them.
        latest: combines the rows of each key into the row to read; by default the one with the largest `newest_by`.
        nested: also read data files in subfolders, one per writer.
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
        latest: SelectRows = latest_per_key,
        nested: bool = False,
    ) -> None:
        self.store, self.prefix, self.schema, self.key, self.newest_by = store, prefix, schema, key, newest_by
        self.nested, self._latest = nested, latest
        self._stored: SelectRows = all_versions if history else latest
        # Columns that decide which row of a key is the newest; any read needs them.
        self._order_columns = [key, *filter(None, [newest_by])]

    def files(self, log2_buckets: int = 0, bucket: int = 0) -> list[DataFile]:
        """List the data files that can hold rows of a bucket, by name; without arguments, all. Opens no file."""
        # Listings by name prefix do not reach into the subfolders of a nested table.
        prefixes = self._name_prefixes(log2_buckets, bucket) if log2_buckets and not self.nested else [""]
        infos = (info for name_prefix in prefixes for info in self.store.objects(self.prefix, name_prefix))
        files = (DataFile.parse(info.key) for info in infos)
        # By name, so that equal versions of a row win in the same order on every machine.
        return sorted(file for file in files if file and file.overlaps(log2_buckets, bucket))

    def _name_prefixes(self, log2_buckets: int, bucket: int) -> Iterator[str]:
        """Yield name prefixes that cover the files of a bucket, so that S3 lists few files of a large table."""
        for prefix in self.store.common_prefixes(self.prefix, "part-", "-"):
            written = int(prefix.strip("part-"))
            # Files of fewer buckets hold this one's low bits; those of more buckets start with many numbers: list them
            # all.
            yield f"{prefix}{bucket & ((1 << written) - 1):06d}-" if written <= log2_buckets else prefix

    def stored_rows(self) -> int:
        """Count the rows in all data files, from their names; unmerged rows of one key all count."""
        return sum(file.rows for file in self.files())

    def log2_buckets(self) -> int:
        """Number of low hash bits that split the table into buckets of at most about BUCKET_ROWS rows."""
        return log2_buckets_for(self.stored_rows())

    def append(self, rows: pa.Table, log2_buckets: int) -> list[str]:
        """Add rows, one file per bucket, and return the files' keys. Appending the same rows again changes nothing."""
        rows = rows.select(self.schema.names).cast(self.schema)
        buckets = bucket_of(rows[self.key], log2_buckets)
        # Only buckets that have rows: a small batch adds few files to a large table.
        by_bucket = ((int(bucket), rows.filter(pa.array(buckets == bucket))) for bucket in np.unique(buckets))
        return [self._write(bucket_rows, log2_buckets, bucket) for bucket, bucket_rows in by_bucket]

    def read(
        self,
        log2_buckets: int = 0,
        bucket: int = 0,
        columns: Sequence[str] | None = None,
        files: Sequence[DataFile] | None = None,
    ) -> pa.Table:
        """Read the latest row per key of one bucket, ordered by key; without arguments, of the whole table."""
        return self._read(log2_buckets, bucket, columns, files, self._latest)

    def versions(self, log2_buckets: int = 0, bucket: int = 0, columns: Sequence[str] | None = None) -> pa.Table:
        """Read all stored versions of the rows of one bucket, ordered by key and then from old to new."""
        return self._read(log2_buckets, bucket, columns, None, all_versions)

    def _read(
        self,
        log2_buckets: int,
        bucket: int,
        columns: Sequence[str] | None,
        files: Sequence[DataFile] | None,
        select: SelectRows,
    ) -> pa.Table:
        # The key and the version select the latest rows, whether or not the caller reads them.
        stored = None if columns is None else list(dict.fromkeys([*columns, *self._order_columns]))
        files = self.files(log2_buckets, bucket) if files is None else files
        for _ in range(LISTING_ATTEMPTS):
            try:
                merged = self._merged(self._load_all(files, stored, log2_buckets, bucket), select)
            except FileNotFoundError:  # another process merged the file after the listing
                files = self.files(log2_buckets, bucket)
            else:
                return merged if columns is None else merged.select(list(columns))
        raise StorageError(
            f"data files of {self.store.uri(self.prefix)} disappear while they are read: wait for the other writers"
        )

    def scan(self, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
        """Read the table bucket by bucket, as `read` does."""
        files = self.files()
        # By rows, not by the buckets of the files: what is read at once must fit in memory.
        log2_buckets = log2_buckets_for(sum(file.rows for file in files))
        for bucket in range(1 << log2_buckets):
            yield self.read(log2_buckets, bucket, columns, files)

    def merge(self, rows: pa.Table | None, log2_buckets: int, bucket: int) -> int:
        """Merge all files of a bucket, and `rows` as the latest ones, into one file; return how many rows changed.

        Files written for fewer buckets are read but stay, until `drop_superseded` deletes them.
        """
        before = self.files(log2_buckets, bucket)
        old = self._read(log2_buckets, bucket, None, before, self._stored)
        new = old
        if rows is not None:
            # `rows` come last, so that they win over stored rows of the same key and version.
            new = self._merged([old, rows.select(self.schema.names).cast(self.schema)], self._stored)
        changed = 0 if rows is None or new.equals(old) else changed_rows(old, new, self.key)
        # Nothing to do: no new row, and no second or coarser file to merge away.
        if not changed and len(before) <= 1 and all(file.log2_buckets >= log2_buckets for file in before):
            return 0
        # The new file first: whoever reads between the two steps sees every row, some of them twice.
        merged = self._write(new, log2_buckets, bucket) if new.num_rows else None
        self.store.delete([file.key for file in before if file.key != merged and file.log2_buckets >= log2_buckets])
        return changed

    def compact(self, log2_buckets: int, bucket: int) -> None:
        """Merge the files of a bucket if there are enough of them (see `MERGE_FILES`)."""
        if _worth_merging(self.files(log2_buckets, bucket), log2_buckets):
            self.merge(None, log2_buckets, bucket)

    def needs_compaction(self, log2_buckets: int) -> bool:
        """Whether `compact` would merge any bucket."""
        buckets: dict[int, list[DataFile]] = {}
        for file in self.files():
            buckets.setdefault(file.bucket & ((1 << log2_buckets) - 1), []).append(file)
        return any(_worth_merging(files, log2_buckets) for files in buckets.values())

    def drop_superseded(self, log2_buckets: int) -> None:
        """Delete files written for fewer buckets whose rows have all been merged into files of 2^log2_buckets buckets.

        A file with the latest row of any key stays, so no row of an unmerged bucket is lost. If another run changes the
        table meanwhile, all files stay until the next call.
        """
        files = self.files()
        coarse = [file for file in files if file.log2_buckets < log2_buckets]
        retained: set[str] = set()
        try:
            for bucket in range(1 << log2_buckets) if coarse else ():
                retained.update(file.key for file in self._not_superseded(files, log2_buckets, bucket))
        except FileNotFoundError:
            return
        # List again: a file that is gone may have held the rows that superseded others.
        if coarse and set(files) <= set(self.files()):
            self.store.delete([file.key for file in coarse if file.key not in retained])

    def _not_superseded(self, files: Sequence[DataFile], log2_buckets: int, bucket: int) -> Iterator[DataFile]:
        fine = [file for file in files if file.log2_buckets >= log2_buckets]
        columns = self._order_columns if self._latest is latest_per_key else None  # others combine all columns
        superseding = self._merged(self._load_all(fine, columns, log2_buckets, bucket), self._stored)
        for file in files:
            if file.log2_buckets < log2_buckets and file.overlaps(log2_buckets, bucket):
                rows = self._load(file, columns, log2_buckets, bucket)
                if not self._merged([rows, superseding], self._stored).equals(superseding):
                    yield file

    def _load_all(
        self, files: Sequence[DataFile], columns: list[str] | None, log2_buckets: int, bucket: int
    ) -> list[pa.Table]:
        overlapping = (file for file in files if file.overlaps(log2_buckets, bucket))
        empty = self.schema.empty_table()  # first, because the first table determines the column order
        return [
            empty.select(columns or empty.column_names),
            *(self._load(file, columns, log2_buckets, bucket) for file in overlapping),
        ]

    def _merged(self, tables: Sequence[pa.Table], select: SelectRows) -> pa.Table:
        """Concatenate the tables and select rows; of two rows with the same key and version, the later table's."""
        return select(pa.concat_tables(tables, promote_options="permissive"), self.key, self.newest_by)

    def _load(self, file: DataFile, columns: list[str] | None, log2_buckets: int, bucket: int) -> pa.Table:
        table = read_data_file(self.store, file.key, self.schema, columns)
        if file.log2_buckets < log2_buckets:
            table = table.filter(pa.array(bucket_of(table[self.key], log2_buckets) == bucket))
        return table

    def _write(self, rows: pa.Table, log2_buckets: int, bucket: int) -> str:
        return write_data_file(self.store, self.prefix, rows.sort_by(self.key), log2_buckets, bucket)


def _worth_merging(files: Sequence[DataFile], log2_buckets: int) -> bool:
    """Whether there are enough files in a bucket to justify rewriting all its rows."""
    if not files:
        return False
    # Many small files, or one that is large beside the largest: only then is the rewrite worth its bytes.
    *smaller, largest = sorted(file.rows for file in files)
    coarse = any(file.log2_buckets < log2_buckets for file in files)
    return coarse or len(smaller) >= MERGE_FILES or (bool(smaller) and sum(smaller) >= MERGE_FRACTION * largest)


def log2_buckets_for(rows: int) -> int:
    """Number of low hash bits that split `rows` rows into buckets of at most about BUCKET_ROWS rows."""
    # The least power of two that is not below the number of buckets.
    return max(0, -(-rows // BUCKET_ROWS) - 1).bit_length()


def bucket_of(keys: pa.ChunkedArray, log2_buckets: int) -> npt.NDArray[np.int64]:
    """Bucket (N,) of each key: the low bits of its CRC-32, which is the same on every machine and in every version."""
    return _hashes(keys) & ((1 << log2_buckets) - 1) if log2_buckets else np.zeros(len(keys), np.int64)


def shard_of(keys: pa.ChunkedArray, log2_buckets: int, num_shards: int) -> npt.NDArray[np.int64]:
    """Shard (N,) of each key within its bucket, from the hash bits above `log2_buckets`."""
    # Other bits than those of the bucket, which are the same for all of its keys.
    return (_hashes(keys) >> log2_buckets) % num_shards


def _hashes(keys: pa.ChunkedArray) -> npt.NDArray[np.int64]:
    return np.fromiter((zlib.crc32(key.encode()) for key in keys.to_pylist()), np.int64, len(keys))
