"""Log of the commands run on a root: one small JSON object per run, updated while it runs."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from threading import Event, Thread
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from viral.errors import StorageError, UsageError
from viral.storage.store import Store, one_line, read_json

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

HEARTBEAT_SECONDS = 5.0  # age limit of what `viral status` shows; each heartbeat is one small write
SILENCE_LIMIT = timedelta(seconds=60)  # 12 missed heartbeats: the process was killed

State = Literal["running", "finished", "refused", "failed", "interrupted", "killed"]


@dataclass
class Run:
    """One run of a command. `summary` is what it printed at the end.

    A `refused` run was asked for what could not be (`UsageError`); its error says what to change or to wait for.
    """

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
        """Key of the JSON object; keys sort by start time."""
        return f"history/{self.started_at}-{self.command}-{self._suffix}.json"

    def __post_init__(self) -> None:
        self._suffix = uuid.uuid4().hex[:6]  # distinguishes runs that start in the same second

    @property
    def seconds(self) -> float:
        """Duration, or the time since the start while it runs."""
        return (datetime.fromisoformat(self.updated_at) - datetime.fromisoformat(self.started_at)).total_seconds()

    @property
    def seconds_left(self) -> float | None:
        """Estimated time left, from the rate so far; None before the first progress and after the end."""
        if self.state != "running" or not self.done:
            return None
        return self.seconds * (self.total - self.done) / self.done


class RunRecorder:
    """Writes the state of one run to the root."""

    def __init__(self, store: Store, run: Run) -> None:
        self.store, self.run = store, run

    def progress(self, done: int, total: int) -> None:
        """Set the progress; the next heartbeat writes it."""
        self.run.done, self.run.total = done, total

    def progress_with(self, show: Callable[[int, int], None]) -> Callable[[int, int], None]:
        """Return a callback `(done, total)` that calls `show` and sets the progress."""

        def update(done: int, total: int) -> None:
            """Show and set the progress."""
            show(done, total)
            self.progress(done, total)

        return update

    def write(self) -> None:
        """Write the state now; ignore a storage failure, which must not stop the run."""
        self.run.updated_at = _now()
        # The next heartbeat writes the same state again.
        with suppress(StorageError):
            self.store.write(self.run.key, json.dumps(asdict(self.run), default=str).encode())


S = TypeVar("S", bound="DataclassInstance")


def record_run(store: Store, command: str, work: Callable[[RunRecorder], S]) -> S:
    """Call `work` and return its summary; log the run as running, then as it ended.

    The record of a killed process stays "running", without further heartbeats.
    """
    recorder = RunRecorder(store, Run(command, _now(), _now()))
    recorder.write()
    ended = Event()
    heartbeat = Thread(target=_heartbeat, args=(recorder, ended), name="history", daemon=True)
    heartbeat.start()
    run = recorder.run
    try:
        summary = work(recorder)
        run.state, run.summary = "finished", asdict(summary)
    except KeyboardInterrupt:
        run.state = "interrupted"
        raise
    except BaseException as error:  # whatever ended it, the log says so
        run.state, run.error = "refused" if isinstance(error, UsageError) else "failed", one_line(error)
        raise
    finally:
        # The heartbeat must be over, or it could write the state from before the end after it.
        ended.set()
        heartbeat.join()
        recorder.write()
    return summary


def _heartbeat(recorder: RunRecorder, ended: Event) -> None:
    while not ended.wait(HEARTBEAT_SECONDS):
        recorder.write()


def runs(store: Store, last: int = 20) -> list[Run]:
    """Read the newest runs of a root, from old to new."""
    # Keys begin with the start time: the newest are the last.
    keys = sorted(info.key for info in store.objects("history") if info.key.endswith(".json"))
    records = (read_json(store, key) for key in keys[-last:])
    return [_mark_killed(Run(**record)) for record in records if record]


def _mark_killed(run: Run) -> Run:
    silence = datetime.now(UTC) - datetime.fromisoformat(run.updated_at)
    if run.state == "running" and silence > SILENCE_LIMIT:
        run.state = "killed"
    return run


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
