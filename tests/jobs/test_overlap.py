"""Runs that overlap: every order of their changes gives the tables that one after the other gives."""

from __future__ import annotations

import itertools
import random
import threading
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from jobs import ingest
from jobs.ingesting.source import IngestSource
from viral.storage.store import Store
from viral.tables.places import posts_table

MAX_ORDERS = 60  # of the changes of two runs; more are drawn at random
STUCK = 30.0  # seconds without a step: the runs wait for each other


class Turns:
    """Lets two threads make their changes in a given order."""

    def __init__(self, order: list[int]) -> None:
        self.order, self.made = order, 0
        self.condition = threading.Condition()

    def wait(self, who: int) -> None:
        with self.condition:
            ready = self.condition.wait_for(lambda: self.order[:1] in ([], [who]), STUCK)
            assert ready, "the runs wait for each other"
            self.order[:1] = []
            self.made += 1
            self.condition.notify_all()

    def leave(self, who: int) -> None:
        with self.condition:
            self.order[:] = [other for other in self.order if other != who]
            self.condition.notify_all()


class Stepped(Store):
    """A store that makes each change when its turn comes."""

    def __init__(self, root: str, turns: Turns, who: int) -> None:
        super().__init__(root)
        self.turns, self.who = turns, who

    def write(self, key: str, data: bytes | pa.Buffer) -> None:
        self.turns.wait(self.who)
        super().write(key, data)

    def delete(self, keys: list[str]) -> None:
        if keys:
            self.turns.wait(self.who)
        super().delete(keys)

    def delete_below(self, prefix: str) -> None:
        self.turns.wait(self.who)
        super().delete_below(prefix)


@pytest.fixture
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """The stages of an ingest run here, in order: who changes what when is up to the test."""
    monkeypatch.setattr(ingest, "session", lambda *_, **__: nullcontext())
    monkeypatch.setattr(ingest, "map_items", lambda fn, items: map(fn, items))
    monkeypatch.setattr(ingest, "map_buckets", lambda fn, log2_buckets: map(fn, range(1 << log2_buckets)))


def run_both(root: str, sources: tuple[IngestSource, IngestSource], turns: Turns) -> list[ingest.IngestSummary]:
    results: dict[int, Any] = {}

    def run(who: int) -> None:
        try:
            results[who] = ingest.run(Stepped(root, turns, who), sources[who])
        except BaseException as error:  # noqa: BLE001 - raised again in the test's thread
            results[who] = error
        finally:
            turns.leave(who)

    threads = [threading.Thread(target=run, args=(who,)) for who in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for result in results.values():
        if isinstance(result, BaseException):
            raise result
    return [results[0], results[1]]


def orders(steps: int) -> Iterator[list[int]]:
    """Orders of `steps` changes of each of two runs: all, or a sample."""
    places = list(itertools.combinations(range(2 * steps), steps))
    for chosen in places if len(places) <= MAX_ORDERS else random.Random(0).sample(places, MAX_ORDERS):
        yield [0 if place in chosen else 1 for place in range(2 * steps)]


@pytest.mark.slow
@pytest.mark.parametrize("same", [True, False], ids=["the same twice", "two files"])
@pytest.mark.parametrize("log2_buckets", [0, 1])
def test_two_ingests_in_every_order_of_their_changes(
    tmp_path: Path, in_this_process: None, monkeypatch: pytest.MonkeyPatch, same: bool, log2_buckets: int
) -> None:
    monkeypatch.setattr(ingest, "log2_buckets_for", lambda rows: log2_buckets)
    (tmp_path / "a.csv").write_text(
        "post_id,scraped_at,views,likes\n1,2026-01-01,1,\n2,2026-01-01,2,\n3,2026-01-01,3,\n"
    )
    (tmp_path / "b.csv").write_text(
        "post_id,scraped_at,views,likes\n2,2026-01-02,,9\n3,2026-01-02,33,\n4,2026-01-02,4,\n"
    )
    one, other = (IngestSource("csv", (str(tmp_path / name),)) for name in ("a.csv", "b.csv"))
    pair = (one, one) if same else (one, other)
    (tmp_path / "alone").mkdir()
    alone = Store.open(tmp_path / "alone")
    for source in pair:
        ingest.run(alone, source)
    expected = posts_table(alone).read()
    solo = Turns([])
    (tmp_path / "counted").mkdir()
    ingest.run(Stepped(str(tmp_path / "counted"), solo, 0), one)
    tried = 0
    for number, order in enumerate(orders(solo.made)):
        root = tmp_path / str(number)
        root.mkdir()
        summaries = run_both(str(root), pair, Turns(order))
        assert [summary.posts for summary in summaries] == [3, 3]
        assert posts_table(Store(root)).read().equals(expected), order
        assert list(Store(root).objects("staging")) == []
        tried += 1
    assert tried >= 20
    assert expected.num_rows == (3 if same else 4)


def test_rows_that_something_deletes_are_no_success(
    tmp_path: Path, in_this_process: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.csv").write_text("post_id,views\n1,1\n2,2\n")
    (tmp_path / "root").mkdir()
    store = Store.open(tmp_path / "root")

    def clean(fn: Callable[[int], Any], log2_buckets: int) -> Iterator[Any]:
        store.delete_below("staging")
        return map(fn, range(1 << log2_buckets))

    monkeypatch.setattr(ingest, "map_buckets", clean)
    with pytest.raises(
        Exception, match=r"^0 of 2 rows were found in .*: something else deletes there; run the command"
    ):
        ingest.run(store, IngestSource("csv", (str(tmp_path / "a.csv"),)))
