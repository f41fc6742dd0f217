"""Vectors that were made elsewhere → a feature table like any other, to train on."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath

import click
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

import viral
from jobs.runtime.options import chosen_set
from viral.errors import TableError
from viral.extractors.feature_set import Entry, FeatureSet
from viral.extractors.foreign import Foreign
from viral.features.feature_table import features_table
from viral.storage.store import Store, one_line
from viral.tables.bucketed import bits_for
from viral.tables.schemas import LABELS, VECTOR, features

MAX_ROWS = 4_000_000  # one machine reads them, and each batch makes a part a bucket
BATCH = 8192
HASHED_AT_ONCE = 8 << 20
TAKEN = (*LABELS.names, *features(()).names)
_IMPORTED = "imported.json"  # written last: a table without it is written again


features_option = click.option(
    "--features", metavar="URI", help="Instead of a set: a Parquet file or folder, a column a modality."
)


def set_or_features(store: Store, feature_set: str, weights: str | None, features: str | None) -> FeatureSet:
    """The feature set of these three options. Raises as `chosen_set` and `brought_in` do."""
    return brought_in(store, features) if features else chosen_set(feature_set, weights, store)


def brought_in(store: Store, uri: str) -> FeatureSet:
    """The feature set of a foreign table, which is copied into the root unless it is there already.

    Args:
        store: the root.
        uri: a Parquet file, or a folder of them, here or on S3: `post_id`, and a column of vectors a modality, named
            as the modality; null where a post lacks it. Other columns are left out.

    Raises:
        TableError: it cannot be read, or is not such a table.
    """
    table = _Foreign.at(uri)
    chosen = table.feature_set()
    done = f"{chosen.table}/{_IMPORTED}"
    if not store.exists(done):
        rows, written = table.rows(), features_table(store, chosen)
        for batch in table.batches([*chosen.dims]):
            written.append(_as_features(batch, chosen, written.schema), bits_for(rows))
        store.write(done, uri.encode())
    return chosen


@dataclass(frozen=True)
class _Foreign:
    """A foreign table as it lies there."""

    uri: str
    store: Store
    keys: tuple[str, ...]

    @classmethod
    def at(cls, uri: str) -> _Foreign:
        """Find its files. Raises TableError: there are none."""
        if uri.endswith(".parquet"):
            folder, _, file = (uri if uri.startswith("s3://") else str(Path(uri).absolute())).rpartition("/")
            store, keys = Store(folder), [file]
        else:
            store = Store(uri)
            keys = sorted(info.key for info in store.objects("") if info.key.endswith(".parquet"))
        if not keys or not store.exists(keys[0]):
            raise TableError(f"there is no Parquet file at {uri}")
        return cls(uri, store, tuple(keys))

    def feature_set(self) -> FeatureSet:
        """The columns of vectors, with their lengths as the first of each says. Raises TableError."""
        schema = self._open(self.keys[0]).schema_arrow
        names = [each.name for each in schema if _is_vector(each.type)]
        if "post_id" not in schema.names or not names:
            raise TableError(
                f"{self.uri} has columns {', '.join(schema.names)}: post_id and lists of numbers are needed"
            )
        if taken := [name for name in names if name in TAKEN]:
            raise TableError(f"the column {taken[0]} of {self.uri} has a name of ours: call it after its modality")
        dims, digest = self._dims(names), self._digest()
        entries = (Entry(Foreign(name=name, modality=name, length=dims[name], digest=digest)) for name in names)
        name = re.sub(r"[^A-Za-z0-9_-]+", "-", PurePosixPath(self.uri).stem).strip("-_")
        return FeatureSet(name or "foreign", tuple(entries))

    def rows(self) -> int:
        """How many. Raises TableError: too many."""
        count: int = sum(self._open(key).metadata.num_rows for key in self.keys)
        if count > MAX_ROWS:
            raise TableError(f"{self.uri} has {count} rows: one machine copies a foreign table, at most {MAX_ROWS}")
        return count

    def batches(self, names: list[str]) -> Iterator[pa.Table]:
        """`post_id` and the vectors, a bounded number of rows at a time. Raises TableError."""
        for key in self.keys:
            parquet = self._open(key)
            if missing := {"post_id", *names} - set(parquet.schema_arrow.names):
                raise TableError(f"{self.store.uri(key)} has no column {min(missing)}, which another file has")
            try:
                for block in parquet.iter_batches(batch_size=BATCH, columns=["post_id", *names]):
                    yield pa.Table.from_batches([block])
            except (pa.ArrowInvalid, OSError) as error:
                # Among it lists of fixed size with nulls: pyarrow writes such files, and cannot read them.
                raise TableError(f"{self.store.uri(key)} cannot be read, {one_line(error)}: write lists") from error

    def _open(self, key: str) -> pq.ParquetFile:
        try:
            return pq.ParquetFile(self.store.input(key))
        except pa.ArrowInvalid as error:
            raise TableError(f"{self.store.uri(key)} is not readable Parquet") from error

    def _dims(self, names: list[str]) -> dict[str, int]:
        dims: dict[str, int] = {}
        for batch in self.batches(names):
            for name in set(names) - set(dims):
                lengths = pc.list_value_length(batch[name].drop_null())
                if len(lengths) and lengths[0].as_py():
                    dims[name] = lengths[0].as_py()
            if len(dims) == len(names):
                return dims
        raise TableError(f"no row of {self.uri} has a vector in {', '.join(sorted(set(names) - set(dims)))}")

    def _digest(self) -> str:
        digest = hashlib.sha256()
        for key in self.keys:
            with self.store.input(key) as file:
                while block := file.read(HASHED_AT_ONCE):
                    digest.update(block)
        return digest.hexdigest()[:16]


def _is_vector(kind: pa.DataType) -> bool:
    if not (pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)):
        return False
    return bool(pa.types.is_floating(kind.value_type) or pa.types.is_integer(kind.value_type))


def _as_features(batch: pa.Table, chosen: FeatureSet, schema: pa.Schema) -> pa.Table:
    """The rows as a backfill would have written them."""
    count, ids = batch.num_rows, batch["post_id"].cast(pa.string())
    if ids.null_count:
        raise TableError("a row of the foreign table has no post_id")
    same = {"attempt": 1, "status": "ok", "finished_at": datetime.now(UTC), "feature_set": chosen.fingerprint}
    same["code_version"] = viral.__version__
    columns = {name: pa.repeat(pa.scalar(value, schema.field(name).type), count) for name, value in same.items()}
    columns |= {"post_id": ids} | {name: _vectors(batch[name], name, dim) for name, dim in chosen.dims.items()}
    filled = [columns.get(each.name, pa.nulls(count, each.type)) for each in schema]
    return pa.Table.from_arrays(filled, schema=schema)


def _vectors(column: pa.ChunkedArray, name: str, dim: int) -> pa.Array:
    vectors = column.combine_chunks().cast(VECTOR)
    lengths = pc.unique(pc.list_value_length(vectors.drop_null())).to_pylist()
    if lengths not in ([], [dim]):
        raise TableError(
            f"the vectors in {name} are of {dim} values, and of {min(set(lengths) - {dim})}: make them alike"
        )
    values = vectors.drop_null().flatten()
    if values.null_count or not pc.all(pc.is_finite(values), min_count=0).as_py():
        raise TableError(f"a vector in {name} has a value that is no finite number: put null for the whole vector")
    return vectors
