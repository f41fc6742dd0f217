"""What ran on a root: one small JSON a run, written while it runs, so that the root alone tells."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from threading import Event, Thread
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from viral.errors import StorageError
from viral.storage.store import Store, one_line, read_json

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

EVERY_SECONDS = 5.0
SILENT_AFTER = timedelta(seconds=60)
"""A run that has said nothing for so long, and not that it ended, was killed."""

State = Literal["running", "finished", "failed", "killed"]


@dataclass
class Run:
    """One run of a command. `summary` is what it printed at its end, or knew when it last wrote."""

    command: str
    started_at: str
    updated_at: str
    state: State = "running"
    done: int = 0
    total: int = 0
    error: str | None = None
    summary: dict[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """Where it lies: the names are in order of time."""
        return f"history/{self.started_at}-{self.command}-{self._tail}.json"

    def __post_init__(self) -> None:
        self._tail = uuid.uuid4().hex[:6]

    @property
    def seconds(self) -> float:
        """How long it took, or has taken so far."""
        return (datetime.fromisoformat(self.updated_at) - datetime.fromisoformat(self.started_at)).total_seconds()

    @property
    def seconds_left(self) -> float | None:
        """How long it will take at the rate so far; None where nothing is done yet, or all is."""
        if self.state != "running" or not self.done:
            return None
        return self.seconds * (self.total - self.done) / self.done


class Recorder:
    """Writes a run's state beside the data."""

    def __init__(self, store: Store, run: Run) -> None:
        self.store, self.run = store, run

    def progress(self, done: int, total: int) -> None:
        """So much of it is done: it is written within a few seconds."""
        self.run.done, self.run.total = done, total

    def write(self) -> None:
        """Write it now. A storage that refuses the note must not end the work that it is about."""
        self.run.updated_at = _now()
        try:
            self.store.write(self.run.key, json.dumps(asdict(self.run), default=str).encode())
        except StorageError:
            return


S = TypeVar("S", bound="DataclassInstance")


def recorded(store: Store, command: str, work: Callable[[Recorder], S]) -> S:
    """The summary that `work` returns, with a record kept of it: running, then finished or failed.

    Killed, a run stays running in its record, and falls silent.
    """
    recorder = Recorder(store, Run(command, _now(), _now()))
    recorder.write()
    ended = Event()
    heart = Thread(target=_beat, args=(recorder, ended), name="history", daemon=True)
    heart.start()
    run = recorder.run
    try:
        summary = work(recorder)
        run.state, run.summary = "finished", asdict(summary)
    except BaseException as error:
        run.state, run.error = "failed", one_line(error)
        raise
    finally:
        ended.set()
        heart.join()
        recorder.write()
    return summary


def _beat(recorder: Recorder, ended: Event) -> None:
    """Write the record every few seconds, whatever the work is at: what falls silent was killed."""
    while not ended.wait(EVERY_SECONDS):
        recorder.write()


def runs(store: Store, last: int = 20) -> list[Run]:
    """The newest runs of a root, oldest first."""
    keys = sorted(info.key for info in store.objects("history") if info.key.endswith(".json"))
    cards = (read_json(store, key) for key in keys[-last:])
    return [_seen(Run(**card)) for card in cards if card]


def _seen(run: Run) -> Run:
    silent = datetime.now(UTC) - datetime.fromisoformat(run.updated_at) > SILENT_AFTER
    if run.state == "running" and silent:
        run.state = "killed"
    return run


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
