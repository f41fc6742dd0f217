"""The log of runs on a root."""

from __future__ import annotations

import json
import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from viral.errors import StorageError, TableError
from viral.storage.store import Store
from viral.tables.run_log import Run, RunRecorder, record_run, runs


@dataclass
class Counted:
    posts: int


def test_a_run_that_ends_well(folder_store: Store) -> None:
    def work(record: RunRecorder) -> Counted:
        record.progress(3, 12)
        (running,) = runs(folder_store)
        assert (running.state, running.seconds_left) == ("running", None)
        return Counted(12)

    assert record_run(folder_store, "backfill", work) == Counted(12)
    (run,) = runs(folder_store)
    assert (run.command, run.state, run.done, run.total, run.summary) == ("backfill", "finished", 3, 12, {"posts": 12})


def test_a_run_that_tells_of_no_progress_is_not_taken_for_killed(
    folder_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("viral.tables.run_log.HEARTBEAT_SECONDS", 0.1)
    monkeypatch.setattr("viral.tables.run_log.SILENCE_LIMIT", timedelta(seconds=2))

    def work(_: RunRecorder) -> Counted:
        time.sleep(4)
        (running,) = runs(folder_store)
        assert running.state == "running"
        return Counted(1)

    record_run(folder_store, "train", work)
    assert not [thread for thread in threading.enumerate() if thread.name == "history"]


@pytest.mark.parametrize(
    ("error", "state", "message"),
    [
        (TableError("there are no posts"), "refused", "there are no posts"),
        (StorageError("the disk is full"), "failed", "the disk is full"),
        (ValueError(), "failed", "ValueError"),
        (KeyboardInterrupt(), "interrupted", None),
    ],
)
def test_a_run_that_does_not_finish(folder_store: Store, error: BaseException, state: str, message: str | None) -> None:
    def work(_: RunRecorder) -> Counted:
        raise error

    with pytest.raises(type(error)):
        record_run(folder_store, "ingest", work)
    (run,) = runs(folder_store)
    assert (run.state, run.error) == (state, message)


def test_a_run_that_fell_silent_was_killed(folder_store: Store) -> None:
    long_ago = (datetime.now(UTC) - timedelta(minutes=5)).isoformat(timespec="seconds")
    RunRecorder(folder_store, Run("backfill", long_ago, long_ago)).write()
    (running,) = runs(folder_store)
    assert running.state == "running"
    key = next(info.key for info in folder_store.objects("history"))
    folder_store.write(key, json.dumps({**json.loads(folder_store.read(key)), "updated_at": long_ago}).encode())
    (killed,) = runs(folder_store)
    assert killed.state == "killed"


def test_time_left() -> None:
    run = Run("backfill", "2026-01-01T00:00:00+00:00", "2026-01-01T00:01:40+00:00", done=25, total=100)
    assert (run.seconds, run.seconds_left) == (100, 300)


def test_the_newest_runs_come_last(folder_store: Store) -> None:
    for number in range(5):
        RunRecorder(folder_store, Run(f"job{number}", f"2026-01-0{number + 1}T00:00:00+00:00", "")).write()
    assert [run.command for run in runs(folder_store, last=2)] == ["job3", "job4"]


def test_a_root_that_is_full_does_not_end_the_work(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("gone")
    (folder / "history").write_text("a file where the folder should be")
    assert record_run(Store.open(folder), "ingest", lambda _: Counted(1)) == Counted(1)
