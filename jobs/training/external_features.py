"""Import vectors computed elsewhere, as a feature table to train on."""

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
from jobs.runtime.options import resolve_feature_set
from viral.errors import TableError
from viral.extractors.external_features import ExternalFeatures
from viral.extractors.feature_set import ExtractorEntry, FeatureSet
from viral.features.feature_table import features_table
from viral.storage.store import Store, one_line
from viral.tables.bucketed import log2_buckets_for
from viral.tables.schemas import LABELS, VECTOR, feature_schema

MAX_ROWS = 4_000_000  # one machine reads them all, and each batch of rows adds one file per bucket
BATCH_ROWS = 8192  # bounds memory: 64 MiB if vectors have 2,048 float32 values
HASH_BYTES = 8 << 20  # per read while hashing; bounds memory
RESERVED = (*LABELS.names, *feature_schema(()).names)  # columns that labels and feature tables already have
_IMPORTED = "imported.json"  # written last: a table without this file is incomplete and is imported again

features_option = click.option(
    "--features", metavar="URI", help="Instead of --feature-set: a Parquet file or folder, one column per modality."
)


def set_or_features(store: Store, feature_set: str, weights: str | None, features: str | None) -> FeatureSet:
    """Return the feature set of `--features`, else of the other options. Raises TableError and ConfigError."""
    return import_features(store, features) if features else resolve_feature_set(feature_set, weights, store)


def import_features(store: Store, uri: str) -> FeatureSet:
    """Copy an external table into the root, unless it was imported before, and return its feature set.

    Args:
        store: the root.
        uri: a Parquet file or a folder of them, local or on S3, with `post_id` and one column of vectors per modality,
            named after the modality; null if a post has no vector. Other columns are ignored.

    Raises:
        TableError: the table cannot be read, or lacks these columns.
    """
    table = _ExternalTable.open(uri)
    feature_set = table.feature_set()
    # The name of the table covers a hash of the files: changed files are another table.
    marker = f"{feature_set.table}/{_IMPORTED}"
    if not store.exists(marker):
        rows, features = table.rows(), features_table(store, feature_set)
        for batch in table.batches([*feature_set.dims]):
            features.append(_as_features(batch, feature_set, features.schema), log2_buckets_for(rows))
        store.write(marker, uri.encode())
    return feature_set


@dataclass(frozen=True)
class _ExternalTable:
    """Parquet files of a table computed elsewhere."""

    uri: str
    store: Store
    keys: tuple[str, ...]

    @classmethod
    def open(cls, uri: str) -> _ExternalTable:
        """List the files. Raises TableError if there are none."""
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
        """Return a set of one extractor per column, with the dimension of its first vector. Raises TableError."""
        schema = self._open(self.keys[0]).schema_arrow
        names = [field.name for field in schema if _is_vector(field.type)]
        if "post_id" not in schema.names or not names:
            raise TableError(
                f"{self.uri} has columns {', '.join(schema.names)}: post_id and lists of numbers are needed"
            )
        if reserved := [name for name in names if name in RESERVED]:
            raise TableError(f"the column {reserved[0]} of {self.uri} has a reserved name: name it after its modality")
        dims, digest = self._dims(names), self._digest()
        entries = (
            ExtractorEntry(ExternalFeatures(name=name, modality=name, length=dims[name], digest=digest))
            for name in names
        )
        # Part of the name of a table, where only these characters are safe.
        name = re.sub(r"[^A-Za-z0-9_-]+", "-", PurePosixPath(self.uri).stem).strip("-_")
        return FeatureSet(name or "foreign", tuple(entries))

    def rows(self) -> int:
        """Count the rows. Raises TableError if there are too many."""
        count: int = sum(self._open(key).metadata.num_rows for key in self.keys)
        if count > MAX_ROWS:
            raise TableError(
                f"{self.uri} has {count} rows: at most {MAX_ROWS} can be imported, because one machine copies them"
            )
        return count

    def batches(self, names: list[str]) -> Iterator[pa.Table]:
        """Yield `post_id` and the vectors, at most `BATCH_ROWS` rows at a time. Raises TableError."""
        for key in self.keys:
            parquet = self._open(key)
            # Checked file by file: only the first one gave the names.
            if missing := {"post_id", *names} - set(parquet.schema_arrow.names):
                raise TableError(
                    f"{self.store.uri(key)} has no column {min(missing)}, but another file of the table has it"
                )
            try:
                for block in parquet.iter_batches(batch_size=BATCH_ROWS, columns=["post_id", *names]):
                    yield pa.Table.from_batches([block])
            except (pa.ArrowInvalid, OSError) as error:
                # For example fixed-size lists with nulls: pyarrow writes such files but cannot read them.
                raise TableError(
                    f"{self.store.uri(key)} cannot be read, {one_line(error)}: write lists of variable size"
                ) from error

    def _open(self, key: str) -> pq.ParquetFile:
        try:
            return pq.ParquetFile(self.store.open_input(key))
        except pa.ArrowInvalid as error:
            raise TableError(f"{self.store.uri(key)} is not readable Parquet") from error

    def _dims(self, names: list[str]) -> dict[str, int]:
        dims: dict[str, int] = {}
        for batch in self.batches(names):
            for name in set(names) - set(dims):
                lengths = pc.list_value_length(batch[name].drop_null())
                if len(lengths) and lengths[0].as_py():
                    # All vectors of a column have the length of the first one; `_vectors` refuses others.
                    dims[name] = lengths[0].as_py()
            if len(dims) == len(names):
                return dims
        raise TableError(f"no row of {self.uri} has a vector in {', '.join(sorted(set(names) - set(dims)))}")

    def _digest(self) -> str:
        digest = hashlib.sha256()
        for key in self.keys:
            with self.store.open_input(key) as file:
                while block := file.read(HASH_BYTES):
                    digest.update(block)
        return digest.hexdigest()[:16]


def _is_vector(kind: pa.DataType) -> bool:
    is_list = pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    return bool(is_list and (pa.types.is_floating(kind.value_type) or pa.types.is_integer(kind.value_type)))


def _as_features(batch: pa.Table, feature_set: FeatureSet, schema: pa.Schema) -> pa.Table:
    """Convert rows to the form that a backfill writes."""
    count, ids = batch.num_rows, batch["post_id"].cast(pa.string())
    if ids.null_count:
        raise TableError("a row of the external table has no post_id")
    # As if a backfill had succeeded: every reader of feature tables works on it unchanged.
    constants = {"attempt": 1, "status": "ok", "finished_at": datetime.now(UTC), "feature_set": feature_set.fingerprint}
    constants["code_version"] = viral.__version__
    columns = {name: pa.repeat(pa.scalar(value, schema.field(name).type), count) for name, value in constants.items()}
    columns |= {"post_id": ids} | {name: _vectors(batch[name], name, dim) for name, dim in feature_set.dims.items()}
    arrays = [columns.get(field.name, pa.nulls(count, field.type)) for field in schema]
    return pa.Table.from_arrays(arrays, schema=schema)


def _vectors(column: pa.ChunkedArray, name: str, dim: int) -> pa.Array:
    vectors = column.combine_chunks().cast(VECTOR)
    lengths = pc.unique(pc.list_value_length(vectors.drop_null())).to_pylist()
    if lengths not in ([], [dim]):
        raise TableError(
            f"the vectors in {name} have {dim} values, others {min(set(lengths) - {dim})}: all need the same length"
        )
    values = vectors.drop_null().flatten()
    if values.null_count or not pc.all(pc.is_finite(values), min_count=0).as_py():
        raise TableError(f"a vector in {name} has a value that is not finite: write null instead of the vector")
    return vectors
