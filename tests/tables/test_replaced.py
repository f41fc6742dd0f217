"""Tables that are rewritten as a whole."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pyarrow as pa
import pytest

from viral.errors import TableError
from viral.storage.store import Store
from viral.tables import replaced

SCHEMA = pa.schema([pa.field("post_id", pa.string(), nullable=False), pa.field("value", pa.int64())])


def rows(count: int, value: int) -> pa.Table:
    return pa.table({"post_id": [str(number) for number in range(count)], "value": [value] * count}, schema=SCHEMA)


def replace(store: Store, version: str, table: pa.Table) -> None:
    replaced.begin(store, "labels/x", SCHEMA, version).append(table, log2_buckets=1)
    replaced.commit(store, "labels/x", version, {"made by": version})


def versions(store: Store) -> set[str]:
    return {info.key.split("/")[2] for info in store.objects("labels")} - {"_current.json"}


def age(store: Store, mark: str) -> None:
    """Put a mark's time as far back as a version is kept."""
    store.write(f"labels/x/{mark}", (datetime.now(UTC) - replaced.KEPT_FOR).isoformat().encode())


def test_a_new_generation_takes_the_place_of_the_old(any_store: Store) -> None:
    replace(any_store, "first", rows(20, 1))
    replace(any_store, "second", rows(10, 2))
    table, about = replaced.open_current(any_store, "labels/x", SCHEMA)
    assert about == {"made by": "second"}
    assert table.read()["value"].to_pylist() == [2] * 10


def test_who_reads_keeps_the_version_of_the_start(any_store: Store) -> None:
    """However often the table is replaced, as by `viral label` while a training runs."""
    replace(any_store, "first", rows(20, 1))
    age(any_store, "first/_generation")  # it was current for long: what counts is when it was replaced
    reader, _ = replaced.open_current(any_store, "labels/x", SCHEMA)
    listed = reader.files()
    for number in range(3):
        replace(any_store, f"later {number}", rows(20, 2))
    assert reader.read()["value"].to_pylist() == reader.read(files=listed)["value"].to_pylist() == [1] * 20
    assert versions(any_store) == {"first", "later 0", "later 1", "later 2"}
    age(any_store, "first/_replaced")
    replace(any_store, "last", rows(20, 3))
    assert versions(any_store) == {"later 0", "later 1", "later 2", "last"}
    for read in (reader.read, lambda: reader.read(files=listed), lambda: list(reader.scan())):
        with pytest.raises(TableError, match=r"^the table labels/x was replaced more than 7 days ago: run the command"):
            read()


def test_an_unfinished_generation_is_not_seen_and_goes_after_a_week(any_store: Store) -> None:
    replace(any_store, "first", rows(3, 1))
    replaced.begin(any_store, "labels/x", SCHEMA, "unfinished").append(rows(3, 2), log2_buckets=0)
    assert replaced.open_current(any_store, "labels/x", SCHEMA)[0].read()["value"].to_pylist() == [1, 1, 1]
    replace(any_store, "third", rows(3, 3))
    assert len(list(any_store.objects("labels/x/unfinished"))) == 2
    age(any_store, "unfinished/_generation")
    replace(any_store, "fourth", rows(3, 4))
    assert list(any_store.objects("labels/x/unfinished")) == []
    with pytest.raises(TableError, match="labels/x was replaced more than 7 days ago: run the command again"):
        replaced.commit(any_store, "labels/x", "unfinished", {})
    assert replaced.open_current(any_store, "labels/x", SCHEMA)[0].read()["value"].to_pylist() == [4, 4, 4]


def test_a_generation_that_is_half_deleted_goes(any_store: Store) -> None:
    replaced.begin(any_store, "labels/x", SCHEMA, "half").append(rows(3, 2), log2_buckets=0)
    any_store.delete(["labels/x/half/_generation"])
    replace(any_store, "next", rows(3, 3))
    assert list(any_store.objects("labels/x/half")) == []


def test_an_empty_table_is_a_table(any_store: Store) -> None:
    replace(any_store, "first", rows(0, 0))
    assert replaced.open_current(any_store, "labels/x", SCHEMA)[0].read().num_rows == 0


def test_no_table_names_those_there_are(any_store: Store) -> None:
    with pytest.raises(
        TableError, match=r"no table labels/y in .*, nor any other in labels/: create one first .viral label"
    ):
        replaced.open_current(any_store, "labels/y", SCHEMA)
    replace(any_store, "first", rows(1, 1))
    with pytest.raises(TableError, match=r"no table labels/y in .*: there are x$"):
        replaced.open_current(any_store, "labels/y", SCHEMA)
    assert replaced.table_names(any_store, "labels") == ["x"]


def test_a_slower_writer_comes_later(any_store: Store) -> None:
    slow = replaced.begin(any_store, "labels/x", SCHEMA, "slow")
    slow.append(rows(20, 1), log2_buckets=0)
    replace(any_store, "quick", rows(20, 2))
    slow.append(rows(30, 1), log2_buckets=1)
    replaced.commit(any_store, "labels/x", "slow", {})
    assert replaced.open_current(any_store, "labels/x", SCHEMA)[0].read()["value"].to_pylist() == [1] * 30


def test_many_writers_at_once_leave_one_whole_table(any_store: Store) -> None:
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda number: replace(any_store, f"writer{number}", rows(10 + number, number)), range(8)))
    table, about = replaced.open_current(any_store, "labels/x", SCHEMA)
    (value,) = set(table.read()["value"].to_pylist())
    assert about == {"made by": f"writer{value}"}
    assert table.read().num_rows == 10 + value
