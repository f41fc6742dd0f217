"""Reading of bucketed tables after any sequence of writes, merges, interruptions and repetitions."""

from __future__ import annotations

import zlib
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from viral.errors import StorageError
from viral.storage.store import Store
from viral.tables.bucketed import BUCKET_ROWS, BucketedTable, DataFile, bucket_of, log2_buckets_for, shard_of
from viral.tables.latest import latest_per_key
from viral.tables.schemas import VECTOR, feature_schema

SCHEMA = pa.schema(
    [
        pa.field("post_id", pa.string(), nullable=False),
        pa.field("version", pa.int32()),
        pa.field("text", pa.string()),
        pa.field("vector", VECTOR),
    ]
)
Row = tuple[str, int | None, str | None, list[float] | None]


def rows(*values: Row) -> pa.Table:
    return pa.Table.from_pylist([dict(zip(SCHEMA.names, value, strict=True)) for value in values], schema=SCHEMA)


def table(store: Store) -> BucketedTable:
    return BucketedTable(store, "posts", SCHEMA, key="post_id", newest_by="version")


def read_all(parts: BucketedTable, log2_buckets: int) -> list[Row]:
    """The whole table, read bucket by bucket."""
    all_rows = [row for bucket in range(1 << log2_buckets) for row in parts.read(log2_buckets, bucket).to_pylist()]
    return sorted(tuple(row.values()) for row in all_rows)


def test_a_bucket_is_read_from_its_own_parts_however_many_buckets_they_were_written_for(any_store: Store) -> None:
    parts = table(any_store)
    for log2_buckets in (0, 1, 3):
        parts.append(rows(*((f"post {log2_buckets} {number}", 0, None, None) for number in range(40))), log2_buckets)
    for log2_buckets in (0, 1, 2, 3, 4):
        assert len(read_all(parts, log2_buckets)) == 120
        for bucket in range(1 << log2_buckets):
            assert set(parts.files(log2_buckets, bucket)) == {
                part for part in parts.files() if part.overlaps(log2_buckets, bucket)
            }


def test_shares_of_a_bucket_are_about_as_large_and_do_not_depend_on_what_else_is_there() -> None:
    keys = pa.chunked_array([[f"post {number}" for number in range(20_000)]])
    bucket = keys.filter(pa.array(bucket_of(keys, 2) == 1))
    shares = shard_of(bucket, 2, 10)
    counts = np.bincount(shares, minlength=10)
    assert len(counts) == 10
    assert counts.min() > 0.8 * len(bucket) / 10
    half = pa.chunked_array([bucket.to_pylist()[::2]])
    assert np.array_equal(shard_of(half, 2, 10), shares[::2])


def test_append_and_read(any_store: Store) -> None:
    parts = table(any_store)
    assert parts.files() == []
    assert parts.read().num_rows == 0
    assert parts.read().schema == SCHEMA
    parts.append(rows(("b", 1, None, None), ("a", 1, "x", [0.5, -1.0])), log2_buckets=0)
    assert read_all(parts, 0) == [("a", 1, "x", [0.5, -1.0]), ("b", 1, None, None)]
    assert [(part.log2_buckets, part.bucket, part.rows) for part in parts.files()] == [(0, 0, 2)]


def test_columns_come_as_asked_for(any_store: Store) -> None:
    parts = table(any_store)
    assert parts.read(columns=["text"]).column_names == ["text"]
    parts.append(rows(("a", 1, "old", None)), log2_buckets=0)
    parts.append(rows(("a", 2, "new", [1.0])), log2_buckets=1)
    assert parts.read(columns=["vector", "text"]).to_pydict() == {"vector": [[1.0]], "text": ["new"]}


def test_append_of_nothing_writes_nothing(any_store: Store) -> None:
    table(any_store).append(rows(), log2_buckets=3)
    assert list(any_store.objects("")) == []


def test_repeated_append_changes_nothing(any_store: Store) -> None:
    parts = table(any_store)
    batch = rows(*((f"p{number}", 1, None, None) for number in range(40)))
    parts.append(batch, log2_buckets=2)
    once = [(info.key, info.size) for info in any_store.objects("")]
    parts.append(batch.take(np.random.default_rng(0).permutation(40)), log2_buckets=2)
    assert sorted((info.key, info.size) for info in any_store.objects("")) == sorted(once)
    assert len(once) == 4


def test_the_newest_version_wins_wherever_it_lies(any_store: Store) -> None:
    parts = table(any_store)
    parts.append(rows(("a", 2, "second", None), ("b", None, "no version", None)), log2_buckets=0)
    parts.append(rows(("a", 3, "third", None), ("b", 0, "zero", None)), log2_buckets=3)
    parts.append(rows(("a", 1, "first", None), ("b", None, "still none", None)), log2_buckets=1)
    assert [row[2] for row in read_all(parts, 2)] == ["third", "zero"]


def test_a_tie_is_decided_once_for_all(any_store: Store) -> None:
    parts = table(any_store)
    for text in ("one", "two", "three"):
        parts.append(rows(("a", 1, text, None), (f"with {text}", 1, None, None)), log2_buckets=0)
    (before,) = [row for row in read_all(parts, 0) if row[0] == "a"]
    assert [row for row in read_all(parts, 2) if row[0] == "a"] == [before]
    parts.merge(None, 0, 0)
    assert [row for row in read_all(parts, 0) if row[0] == "a"] == [before]


def test_what_is_merged_in_is_later_than_all_there(any_store: Store) -> None:
    parts = table(any_store)
    parts.append(rows(("a", 1, "old", None), ("b", 2, "old", None), ("c", 1, "same", [1.0])), log2_buckets=0)
    folded = rows(("a", 1, "new", None), ("b", 1, "too late", None), ("c", 1, "same", [1.0]), ("d", None, None, None))
    assert parts.merge(folded, 0, 0) == 2
    assert [row[2] for row in read_all(parts, 0)] == ["new", "old", "same", None]
    assert parts.merge(folded, 0, 0) == 0


def test_merge_makes_one_part_a_bucket(any_store: Store) -> None:
    parts = table(any_store)
    for start in range(5):
        parts.append(
            rows(*((f"p{number}", 1, None, [float(number)]) for number in range(start, start + 20))), log2_buckets=1
        )
    expected = read_all(parts, 1)
    assert [parts.merge(None, 1, bucket) for bucket in range(2)] == [0, 0]
    assert [(part.log2_buckets, part.bucket) for part in parts.files()] == [(1, 0), (1, 1)]
    assert parts.stored_rows() == len(expected) == 24
    assert read_all(parts, 1) == expected


def test_a_few_late_rows_do_not_have_a_bucket_written_anew(any_store: Store) -> None:
    parts = table(any_store)
    parts.append(rows(*((f"post {number}", 0, None, None) for number in range(100))), 1)
    largest = {part.key for part in parts.files()}
    for late in range(7):
        parts.append(rows((f"late {late}", 0, None, None)), 1)
    for bucket in range(2):
        parts.compact(1, bucket)
    assert largest < {part.key for part in parts.files()}
    parts.append(rows(*((f"more {number}", 0, None, None) for number in range(60))), 1)
    for bucket in range(2):
        parts.compact(1, bucket)
    assert len(parts.files()) == 2
    assert len(read_all(parts, 1)) == 167
    parts.compact(2, 3)
    assert [part.log2_buckets for part in parts.files(2, 3)] == [1, 2]


def test_merge_of_an_empty_bucket_writes_nothing(any_store: Store) -> None:
    assert table(any_store).merge(None, 3, 5) == 0
    assert table(any_store).merge(rows(), 3, 5) == 0
    assert list(any_store.objects("")) == []


@pytest.mark.parametrize(("written", "read"), [(0, 0), (0, 4), (4, 0), (2, 3), (3, 2), (4, 4)])
def test_parts_for_any_number_of_buckets(tmp_path: Path, written: int, read: int) -> None:
    parts = table(Store(tmp_path))
    values: list[Row] = sorted((f"post {number}", number, None, None) for number in range(200))
    parts.append(rows(*values), log2_buckets=written)
    assert read_all(parts, read) == values
    for bucket in range(1 << read):
        parts.merge(None, read, bucket)
        assert read_all(parts, read) == read_all(parts, written) == values
    parts.drop_superseded(read)
    assert read_all(parts, read) == values
    assert {part.log2_buckets for part in parts.files()} == {read}
    assert parts.stored_rows() == 200


def test_sweep_keeps_what_no_merge_has_taken_in(any_store: Store) -> None:
    parts = table(any_store)
    values: list[Row] = sorted((f"post {number}", 1, None, None) for number in range(40))
    parts.append(rows(*values), log2_buckets=0)
    parts.drop_superseded(2)
    assert read_all(parts, 2) == values
    for bucket in (0, 1, 3):
        parts.merge(None, 2, bucket)
    parts.drop_superseded(2)
    assert read_all(parts, 2) == values
    parts.merge(None, 2, 2)
    parts.append(rows(("post 1", 2, "newer", None)), log2_buckets=1)
    parts.drop_superseded(2)
    assert {part.log2_buckets for part in parts.files()} == {1, 2}
    assert [row[2] for row in read_all(parts, 2) if row[0] == "post 1"] == ["newer"]


def test_scan_goes_through_every_bucket_once(tmp_path: Path) -> None:
    parts = BucketedTable(Store(tmp_path), "ids", pa.schema([SCHEMA.field("post_id")]), key="post_id")
    ids = pa.table({"post_id": [f"post {number}" for number in range(BUCKET_ROWS + 1)]})
    parts.append(ids, log2_buckets=0)
    assert parts.log2_buckets() == 1
    buckets = list(parts.scan())
    assert len(buckets) == 2
    assert max(bucket.num_rows for bucket in buckets) < 0.52 * ids.num_rows
    assert sorted(pa.concat_tables(buckets)["post_id"].to_pylist()) == sorted(ids["post_id"].to_pylist())
    assert sum(bucket.num_rows for bucket in parts.scan(["post_id"])) == ids.num_rows


def test_bits_grow_with_the_rows() -> None:
    assert [
        log2_buckets_for(count) for count in (0, 1, BUCKET_ROWS, BUCKET_ROWS + 1, 2 * BUCKET_ROWS, 3 * BUCKET_ROWS)
    ] == [
        *(0, 0, 0, 1, 1, 2),
    ]
    assert log2_buckets_for(10**8) == 12


def test_buckets_are_the_low_bits_of_a_hash_that_never_changes() -> None:
    keys = pa.chunked_array([["a", "é"], ["6875468410612993286"]])
    assert bucket_of(keys, 32).tolist() == [zlib.crc32(key.encode()) for key in keys.to_pylist()]
    assert bucket_of(keys, 32).tolist()[0] == 0xE8B7BE43
    assert (bucket_of(keys, 5) == bucket_of(keys, 32) % 32).all()


def test_part_names() -> None:
    part = DataFile.parse("features/x/part-03-000005-17-00ff.parquet")
    assert part == DataFile("features/x/part-03-000005-17-00ff.parquet", 3, 5, 17)
    assert DataFile.parse("features/x/part-03-000005-17-00ff.parquet.tmp") is None
    assert DataFile.parse("features/x/_current.json") is None
    assert [part.overlaps(4, bucket) for bucket in (5, 13, 4)] == [True, True, False]
    assert [part.overlaps(1, bucket) for bucket in (0, 1)] == [False, True]


def test_newest_of_one_and_of_none() -> None:
    assert latest_per_key(rows(), "post_id", "version").num_rows == 0
    assert latest_per_key(rows(("a", 1, None, None)), "post_id", None).num_rows == 1


def test_null_and_empty_vectors_come_back(any_store: Store) -> None:
    schema = feature_schema(["caption", "craft"])
    parts = BucketedTable(any_store, "features/x", schema, key="post_id", newest_by="attempt")
    fixed = {"attempt": 0, "status": "ok", "finished_at": 0, "feature_set": "f", "code_version": "0"}
    vectors = [{"caption": [1.5, -2.5], "craft": None}, {"caption": None, "craft": [0.0] * 6}, {}]
    values = [{"post_id": str(number), **fixed, **vector} for number, vector in enumerate(vectors)]
    values[0]["stage_seconds"] = [("decode", 0.5)]
    parts.append(pa.Table.from_pylist(values, schema=schema), log2_buckets=0)
    parts.merge(None, 0, 0)
    back = parts.read()
    assert back.schema == schema
    assert back["caption"].to_pylist() == [[1.5, -2.5], None, None]
    assert back["craft"].to_pylist() == [None, [0.0] * 6, None]
    assert back["stage_seconds"].to_pylist() == [[("decode", 0.5)], None, None]


def test_parts_of_an_older_and_a_newer_schema(any_store: Store) -> None:
    narrow = pa.schema([SCHEMA.field(name) for name in ("post_id", "version")])
    wide = SCHEMA.append(pa.field("later", pa.int64()))
    older = BucketedTable(any_store, "posts", narrow, key="post_id", newest_by="version")
    newer = BucketedTable(any_store, "posts", wide, key="post_id", newest_by="version")
    older.append(pa.table({"post_id": ["a"], "version": pa.array([1], pa.int32())}), log2_buckets=0)
    extra = pa.Table.from_pylist([{"post_id": "b", "version": 1, "text": "t", "later": 7}], schema=wide)
    newer.append(extra, log2_buckets=0)
    parts = table(any_store)
    assert parts.read(columns=["text"]).to_pydict() == {"text": [None, "t"]}
    assert parts.merge(rows(("c", 1, "x", None)), 0, 0) == 1
    assert newer.read(columns=["post_id", "text", "later"]).to_pydict() == {
        "post_id": ["a", "b", "c"],
        "text": [None, "t", "x"],
        "later": [None, 7, None],
    }


@pytest.mark.parametrize("damage", [b"", b"PAR1 and nothing more", None])
def test_a_damaged_part_is_named(any_store: Store, damage: bytes | None) -> None:
    parts = table(any_store)
    parts.append(rows(("a", 1, None, None)), log2_buckets=0)
    (part,) = parts.files()
    any_store.write(part.key, any_store.read(part.key)[:-30] if damage is None else damage)
    with pytest.raises(StorageError, match=f"{part.key} is damaged: delete it") as caught:
        parts.read()
    assert "\n" not in str(caught.value)


def test_a_reader_whose_parts_are_merged_away(any_store: Store) -> None:
    parts = table(any_store)
    parts.append(rows(("a", 1, None, None)), log2_buckets=0)
    parts.append(rows(("b", 1, None, None)), log2_buckets=0)
    listed = parts.files()
    parts.merge(None, 0, 0)
    assert parts.read(files=listed)["post_id"].to_pylist() == ["a", "b"]
