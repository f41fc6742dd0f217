"""Bucketed tables under kills and random sequences of operations: no row is lost or duplicated."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path

import pyarrow as pa
import pytest

from tests.tables.test_bucketed import SCHEMA, Row, read_all, rows, table
from viral.storage.store import Store
from viral.tables.bucketed import BucketedTable


class KilledError(Exception):
    """What ends a process in the middle, as far as its files are concerned."""


class Mortal(Store):
    """A store that is killed at its n-th change."""

    def __init__(self, root: str, life: int) -> None:
        super().__init__(root)
        self.life = life

    def write(self, key: str, data: bytes | pa.Buffer) -> None:
        self._age()
        super().write(key, data)

    def delete(self, keys: list[str]) -> None:
        for key in keys:  # one by one: a kill may fall between any two
            self._age()
            super().delete([key])

    def _age(self) -> None:
        if self.life == 0:
            raise KilledError
        self.life -= 1


def interrupted(store: Store, work: Callable[[BucketedTable], object]) -> Iterable[int]:
    """Do the work on copies of the table that are killed at the first, second, … change, until one goes through."""
    content = {info.key: store.read(info.key) for info in store.objects("")}
    for life in range(100):
        store.delete_below("posts")
        for key, data in content.items():
            store.write(key, data)
        try:
            work(table(Mortal(store.root, life)))
        except KilledError:
            yield life
        else:
            return
    pytest.fail("it never ends")


def test_a_merge_killed_at_any_moment_loses_and_doubles_nothing(tmp_path: Path) -> None:
    store = Store(tmp_path)
    parts = table(store)
    for start in range(4):
        parts.append(
            rows(*((f"p{number}", start, None, None) for number in range(start, start + 10))), log2_buckets=start % 3
        )
    folded = rows(*((f"p{number}", 9, "new", None) for number in range(3, 8)))
    before = read_all(parts, 0)
    parts.merge(folded, 0, 0)
    after = read_all(parts, 0)
    assert len(before) == len(after) == 13
    store.delete_below("posts")
    for start in range(4):
        parts.append(
            rows(*((f"p{number}", start, None, None) for number in range(start, start + 10))), log2_buckets=start % 3
        )
    kills = []
    for life in interrupted(store, lambda mortal: mortal.merge(folded, 0, 0)):
        kills.append(life)
        assert read_all(parts, 0) == (before if life == 0 else after)
        parts.merge(folded, 0, 0)
        assert read_all(parts, 0) == after
        assert len(parts.files()) == 1
    assert len(kills) > 4


def test_a_growing_table_killed_at_any_moment(tmp_path: Path) -> None:
    store = Store(tmp_path)
    parts = table(store)
    for start in range(3):
        parts.append(rows(*((f"p{number}", start, None, None) for number in range(start, start + 30))), log2_buckets=0)
    expected = read_all(parts, 0)

    def grow(mortal: BucketedTable) -> None:
        for bucket in range(4):
            mortal.merge(None, 2, bucket)
        mortal.drop_superseded(2)

    kills = []
    for life in interrupted(store, grow):
        kills.append(life)
        assert read_all(parts, 0) == read_all(parts, 2) == expected
        parts.drop_superseded(2)
        assert read_all(parts, 2) == expected
        grow(parts)
        assert read_all(parts, 2) == expected
        assert parts.stored_rows() == len(expected)
    assert len(kills) == 7  # four parts written, three deleted


def model_after(model: Mapping[str, Row], added: Iterable[Row]) -> dict[str, Row]:
    """Content of a table with one row per key."""
    later = dict(model)
    for row in added:
        if row[0] not in later or (row[1] or 0) >= (later[row[0]][1] or 0):
            later[row[0]] = row
    return later


@pytest.mark.parametrize("seed", range(12))
def test_any_sequence_of_operations_is_a_dict(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    store = Store(tmp_path)
    model: dict[str, Row] = {}
    for step in range(40):
        mortal = table(Mortal(store.root, rng.choice([0, 1, 2, 3, 1000, 1000, 1000])))
        log2_buckets = rng.randrange(4)
        bucket = rng.randrange(1 << log2_buckets)
        # A version is used once: what a tie does is another test's business.
        added: list[Row] = [
            (f"p{rng.randrange(30)}", step * 100 + offset, rng.choice([None, "x"]), rng.choice([None, [1.0]]))
            for offset in range(rng.randrange(8))
        ]
        operation = rng.choice(["append", "merge", "merge", "drop_superseded"])
        if operation == "append":
            batch = rows(*model_after({}, added).values())
            try:
                mortal.append(batch, log2_buckets)
            except KilledError:
                table(store).append(batch, log2_buckets)  # what was interrupted is done again
            model = model_after(model, added)
        elif operation == "merge":
            with suppress(KilledError):
                mortal.merge(None, log2_buckets, bucket)
        else:
            with suppress(KilledError):
                mortal.drop_superseded(log2_buckets)
        read_buckets = rng.randrange(4)
        assert read_all(table(store), read_buckets) == sorted(model.values()), (operation, step)


def test_history_keeps_every_version(any_store: Store) -> None:
    table = BucketedTable(any_store, "attempts", SCHEMA, key="post_id", newest_by="version", history=True)
    for version in range(3):
        table.append(rows(("a", version, str(version), None), ("b", version, "b", None)), 0)
    table.append(rows(("a", 1, "again", None)), 0)
    before = table.versions(columns=["post_id", "version"])
    table.merge(None, 0, 0)
    assert len(table.files()) == 1
    assert table.versions(columns=["post_id", "version"]).equals(before)
    assert before.to_pydict() == {"post_id": list("aaabbb"), "version": [0, 1, 2, 0, 1, 2]}
    assert table.read(columns=["version"]).to_pydict() == {"version": [2, 2]}
