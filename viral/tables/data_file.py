"""Data files of tables: a name that covers the content, a schema version inside, and columns of the current types."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq

from viral.errors import StorageError
from viral.storage.store import Store, one_line, storage_errors

SCHEMA_VERSION = 1  # raise it when older code would misread the files; files of roots before it count as 0
_VERSION_FIELD = b"viral.schema_version"
# Buckets, bucket, rows and digest: all that a reader needs to know before it opens a file.
_NAME = re.compile(r"part-(\d+)-(\d+)-(\d+)-[0-9a-f]+\.parquet$")
_DIGEST_DIGITS = 20  # 80 bits: no two files share a name by chance


@dataclass(frozen=True, order=True)
class DataFile:
    """One file of a table, described by its name."""

    key: str
    log2_buckets: int
    bucket: int
    rows: int

    @classmethod
    def parse(cls, key: str) -> DataFile | None:
        """Parse the data file at `key`; None for any other file."""
        match = _NAME.search(key)
        return cls(key, *(int(group) for group in match.groups())) if match else None

    def overlaps(self, log2_buckets: int, bucket: int) -> bool:
        """Whether this file can hold rows of a bucket, whatever number of buckets it was written for."""
        # Both bucket numbers are low bits of the same hash: they fit together if they agree in the bits that both have.
        mask = (1 << min(log2_buckets, self.log2_buckets)) - 1
        return (self.bucket & mask) == (bucket & mask)


def write_data_file(store: Store, prefix: str, rows: pa.Table, log2_buckets: int, bucket: int) -> str:
    """Write the rows of a bucket as one file below `prefix`, and return its key.

    The key names the SHA-256 of the content, so a file never changes: the same rows give the same file.
    """
    # Equal rows give equal bytes with one version of pyarrow. With another they give a second file of the same rows,
    # which merging drops.
    content = to_parquet(rows)
    digest = hashlib.sha256(content).hexdigest()[:_DIGEST_DIGITS]
    key = f"{prefix}/part-{log2_buckets:02d}-{bucket:06d}-{rows.num_rows}-{digest}.parquet"
    store.write(key, content)
    return key


def read_data_file(store: Store, key: str, schema: pa.Schema, columns: Sequence[str] | None) -> pa.Table:
    """Read columns of a file, all by default; those of `schema` come with its types, whatever types the file has.

    Raises:
        FileNotFoundError: there is no such file.
        StorageError: the file is damaged, was written by newer code, or holds values that a type cannot represent.
    """
    uri = store.uri(key)
    try:
        with storage_errors(uri), store.open_input(key) as stream, pq.ParquetFile(stream) as parquet:
            version = int((parquet.schema_arrow.metadata or {}).get(_VERSION_FIELD, b"0"))
            if version > SCHEMA_VERSION:
                raise StorageError(f"{uri} was written by a newer version of viral: update this one")
            # Without the metadata of the file, so that tables of several files have the same schema.
            table = parquet.read(None if columns is None else list(columns)).replace_schema_metadata(None)
    except StorageError as error:
        # S3 reports a file that another run has merged since it was opened as one error or another, by its server.
        if not store.exists(key):
            raise FileNotFoundError(uri) from error
        raise
    except pa.ArrowInvalid as error:
        raise StorageError(
            f"{uri} is damaged: delete it and rerun the command that wrote it ({one_line(error)})"
        ) from error
    return _with_types_of(schema, table, uri)


def to_parquet(rows: pa.Table) -> pa.Buffer:
    """Serialise the rows as one Parquet file in memory."""
    # In memory: the digest of the content is part of the name.
    sink = pa.BufferOutputStream()
    pq.write_table(rows.replace_schema_metadata({_VERSION_FIELD: str(SCHEMA_VERSION)}), sink, compression="zstd")
    return sink.getvalue()


def _with_types_of(schema: pa.Schema, table: pa.Table, uri: str) -> pa.Table:
    for index, field in enumerate(table.schema):
        wanted = schema.field(field.name).type if field.name in schema.names else field.type
        if field.type != wanted:
            try:
                column = table[field.name].cast(wanted)
            except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
                raise StorageError(
                    f"the column {field.name} of {uri} has the type {field.type}, which does not fit {wanted}: "
                    "rerun the command that wrote it into another root"
                ) from error
            table = table.set_column(index, field.name, column)
    return table
