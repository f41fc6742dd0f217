"""Data files: content-addressed names, schema versions, and columns of other types."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from viral.errors import StorageError
from viral.storage.store import Store
from viral.tables.bucketed import BucketedTable
from viral.tables.data_file import SCHEMA_VERSION, read_data_file, to_parquet, write_data_file

SCHEMA = pa.schema([pa.field("post_id", pa.string(), nullable=False), pa.field("views", pa.int64())])


def rows(views: int | None) -> pa.Table:
    return pa.table({"post_id": ["a"], "views": [views]}, schema=SCHEMA)


def test_the_name_covers_the_content(any_store: Store) -> None:
    """The same keys and versions with other values: in place, a reader could mix both files."""
    one = write_data_file(any_store, "t", rows(1), 0, 0)
    content = any_store.read(one)
    assert write_data_file(any_store, "t", rows(2), 0, 0) != one
    assert write_data_file(any_store, "t", rows(1), 0, 0) == one
    assert any_store.read(one) == content
    assert len(list(any_store.objects("t"))) == 2


def test_each_file_has_the_version_of_its_schema(any_store: Store) -> None:
    key = write_data_file(any_store, "t", rows(1), 0, 0)
    with any_store.open_input(key) as file:
        assert pq.read_schema(file).metadata[b"viral.schema_version"] == str(SCHEMA_VERSION).encode()
    newer = rows(1).replace_schema_metadata({"viral.schema_version": str(SCHEMA_VERSION + 1)})
    sink = pa.BufferOutputStream()
    pq.write_table(newer, sink)
    any_store.write("t/newer.parquet", sink.getvalue())
    with pytest.raises(
        StorageError, match=r"t/newer.parquet was written by a newer version of viral: update this one$"
    ):
        read_data_file(any_store, "t/newer.parquet", SCHEMA, None)


@pytest.mark.parametrize(
    ("stored", "type_"), [([7], pa.int32()), ([7.0], pa.float64()), (["7"], pa.string()), ([7], pa.uint16())]
)
def test_a_column_that_changed_its_type_is_read(any_store: Store, stored: list[object], type_: pa.DataType) -> None:
    table = BucketedTable(any_store, "t", SCHEMA, key="post_id")
    any_store.write(
        "t/part-00-000000-1-00.parquet", to_parquet(pa.table({"post_id": ["old"], "views": pa.array(stored, type_)}))
    )
    table.append(rows(8), 0)
    assert table.read().to_pydict() == {"post_id": ["a", "old"], "views": [8, 7]}
    assert table.read().schema.types == SCHEMA.types


def test_a_value_that_does_not_fit_is_no_silent_null(any_store: Store) -> None:
    any_store.write(
        "t/part-00-000000-1-00.parquet", to_parquet(pa.table({"post_id": ["old"], "views": pa.array(["many"])}))
    )
    with pytest.raises(StorageError, match=r"the column views of .* has the type string, which does not fit int64"):
        BucketedTable(any_store, "t", SCHEMA, key="post_id").read()


def test_further_columns_of_several_types(any_store: Store) -> None:
    """As older code reads files of newer code."""
    for name, column in (("a", pa.array([1], pa.int32())), ("b", pa.array([0.5]))):
        extra = pa.table({"post_id": [name], "views": [1], "later": column})
        any_store.write(f"t/part-00-000000-1-0{name}.parquet", to_parquet(extra))
    assert BucketedTable(any_store, "t", SCHEMA, key="post_id").read()["later"].to_pylist() == [1.0, 0.5]


def test_a_file_that_goes_while_it_is_read_is_missing_not_unreadable(
    any_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another run merges it away: the reader lists the files again."""
    key, open_input = write_data_file(any_store, "t", rows(1), 0, 0), Store.open_input

    def open_and_lose(store: Store, wanted: str) -> pa.NativeFile:
        stream = open_input(store, wanted)
        store.delete([wanted])
        return stream

    monkeypatch.setattr(Store, "open_input", open_and_lose)
    if any_store.root.startswith("s3://"):
        with pytest.raises(FileNotFoundError):
            read_data_file(any_store, key, SCHEMA, None)
    else:  # a file of a folder stays for those who have opened it
        assert read_data_file(any_store, key, SCHEMA, None).equals(rows(1))
