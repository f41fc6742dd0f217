"""One Ray session for a command: this machine's own, or a cluster's by its address."""

from __future__ import annotations

import fcntl
import logging
import os
import re
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import TracebackType

from viral.errors import ConfigError, ViralError
from viral.storage.store import one_line

_PREFIX, _LOCK = "viral-ray-", "in-use"
_FILTER = """
import sys
for line in sys.stdin.buffer:
    if b"has constructor arguments in the object store" not in line:
        sys.stderr.buffer.write(line)
        sys.stderr.buffer.flush()
"""
ANSWERS_WITHIN = 10.0  # seconds
FILTER_ENDS_WITHIN = 2.0  # seconds
EXECUTOR_ENDS_WITHIN = 15.0  # seconds; on a busy machine it may be in the midst of starting actors
LOCAL = {
    "RAY_USAGE_STATS_ENABLED": "0",
    # Ray Train's: how often it looks whether workers have ended (else 2 s), and a process that waits for spot machines
    # to be taken away. Together a fifth of a short training.
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.25",
    "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "0",
    # How long a process without work is kept for the next task (else 1 s): to start one takes 2 s of a core.
    "RAY_idle_worker_killing_time_threshold_ms": "60000",
    # How often it looks for new logs: each second, not ten times, which takes 1 % of a core as long as it runs.
    "RAY_LOG_MONITOR_MANY_FILES_THRESHOLD": "0",
    "LOG_NAME_UPDATE_INTERVAL_S": "1",
}
"""Settings of a Ray on this machine alone."""
OBJECT_STORE_BYTES = 1 << 30  # vectors and ids only ever pass through it, never raw frames


@contextmanager
def session(address: str | None = None, *, debug: bool = False) -> Iterator[None]:
    """Connect to the cluster at `address` (or `$RAY_ADDRESS`), or start Ray on this machine and stop it at the end.

    Inside another session it uses that one, so that jobs can be called one after the other in one.

    Raises:
        ConfigError: no cluster answers at that address.
        ViralError: what a task raised of our own, without Ray's wrapping.
    """
    os.environ.setdefault("RAY_ENABLE_AUTO_CONNECT", "0")  # what outlives a session must not start another
    import ray

    if ray.is_initialized():
        with unwrapped():
            yield
        return
    target = address or os.environ.get("RAY_ADDRESS")
    with ExitStack() as stack:
        folder = None if target else stack.enter_context(_temporary_folder())
        if not debug:
            stack.enter_context(_filtered_stderr())
        stack.callback(ray.shutdown)
        stack.callback(_await_executors)
        stack.push(_forget)
        _connect(target, folder, debug=debug)
        _quiet(debug=debug)
        with unwrapped():
            yield


def check_room(workers: int, cpus: float) -> None:
    """Refuse more workers, of so many CPUs each, than a lone machine has: Ray would wait for other machines for ever.

    Raises:
        ConfigError: they do not fit. On a cluster they may yet: it may grow.
    """
    import ray

    cores = float(ray.cluster_resources().get("CPU", 0))
    if len(ray.nodes()) == 1 and 0 < cores < workers * cpus:
        raise ConfigError(
            f"{workers} workers need more than the {cores:.0f} cores that there are: give fewer --workers"
        )


def _connect(target: str | None, folder: Path | None, *, debug: bool) -> None:
    import ray

    level = logging.INFO if debug else logging.ERROR
    if folder is None:
        try:
            _answers(target)
            ray.init(target, log_to_driver=debug, logging_level=level)
        except (OSError, ValueError) as error:
            raise ConfigError(f"no Ray cluster answers at {target}: {one_line(error)}") from error
        return
    for name, value in LOCAL.items():
        os.environ.setdefault(name, value)
    # Ray turns token authentication on, and would write a token into the home directory if it were given none.
    os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
    with _children_write_to(folder / "files"):
        ray.init(
            "local",
            include_dashboard=False,
            object_store_memory=OBJECT_STORE_BYTES,
            _temp_dir=str(folder),
            log_to_driver=debug,
            logging_level=level,
        )


@contextmanager
def _children_write_to(folder: Path) -> Iterator[None]:
    """Let the processes that are started put their temporary files there: killed, they cannot remove them."""
    folder.mkdir()
    before = os.environ.get("TMPDIR")
    os.environ["TMPDIR"] = str(folder)
    try:
        yield
    finally:
        del os.environ["TMPDIR"]
        if before is not None:
            os.environ["TMPDIR"] = before


def _answers(target: str | None) -> None:
    """Raise OSError if nothing listens at `host:port` or `ray://host:port`: Ray would try for minutes."""
    match = re.fullmatch(r"(?:ray://)?(.+):(\d+)", target or "")
    if match:
        socket.create_connection((match[1].strip("[]"), int(match[2])), timeout=ANSWERS_WITHIN).close()


@contextmanager
def _temporary_folder() -> Iterator[Path]:
    """A folder for Ray's files, locked while it is used; those that processes left that were killed are removed."""
    for lock in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*/{_LOCK}"):
        with suppress(OSError), lock.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # the kernel lets go of it when its holder dies
            shutil.rmtree(lock.parent, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX))
    try:
        with (folder / f"{_LOCK}.new").open("wb") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            (folder / f"{_LOCK}.new").rename(folder / _LOCK)  # locked before any other process looks for it
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _filtered_stderr() -> Iterator[None]:
    """Keep one line of Ray's core off the terminal, which it logs whenever Ray Data starts actors and no setting stops.

    By a process, not a thread: what Ray's core says before it ends this process has to come through.
    """
    python = sys.stderr
    if python is not sys.__stderr__ or python is None or python.fileno() != 2:
        yield  # a notebook's or a test's: those show it where they like
        return
    with os.fdopen(os.dup(2), "w", buffering=1, encoding=python.encoding, errors=python.errors) as terminal:
        command = [sys.executable, "-I", "-S", "-c", _FILTER]
        child = subprocess.Popen(command, stdin=subprocess.PIPE, stderr=terminal, start_new_session=True)  # noqa: S603 - our own interpreter
        assert child.stdin is not None, "asked for"
        os.dup2(child.stdin.fileno(), 2)
        child.stdin.close()
        sys.stderr = terminal  # of Python, progress bars among it, nothing is filtered
        try:
            yield
        finally:
            sys.stderr = python
            os.dup2(terminal.fileno(), 2)
            with suppress(subprocess.TimeoutExpired):
                child.wait(FILTER_ENDS_WITHIN)  # it ends with the last process that writes to it; that may be later


def _forget(_kind: object, _error: object, trace: TracebackType | None) -> None:
    """Let go of what an error's frames hold: Ray Data's iterators end their work when collected, which wants Ray."""
    traceback.clear_frames(trace)


def _await_executors() -> None:
    """Let Ray Data's threads end: it waits two seconds for one that it stopped, and one that outlives Ray crashes."""
    for thread in threading.enumerate():
        if thread.name.startswith("StreamingExecutor-"):
            thread.join(EXECUTOR_ENDS_WITHIN)


def _quiet(*, debug: bool) -> None:
    """Ray Data's own progress and logs are for debugging; a job prints its own, and raises its own errors."""
    import ray._private.worker
    from ray.data import DataContext

    # Of workers that die Ray writes to stdout, where a summary as JSON is to stand alone; no public setting stops it.
    ray._private.worker._worker_logs_enabled = debug
    context = DataContext.get_current()
    context.raise_original_map_exception = True  # else only its text comes back from a task
    context.enable_progress_bars = debug
    if not debug:
        for name in ("ray.data", "ray.train", "ray.tune"):  # what they log as errors they raise, too
            logging.getLogger(name).setLevel(logging.CRITICAL)


@contextmanager
def unwrapped() -> Iterator[None]:
    """Raise what a task or a training function raised of our own as itself, whatever Ray wrapped around it."""
    import ray.exceptions

    try:
        yield
    except Exception as error:  # looked through and raised again, whatever it is
        for cause in _causes(error):
            # Ray's wrapping takes on the class of what it wraps.
            if isinstance(cause, ViralError) and not isinstance(cause, ray.exceptions.RayError):
                # Our messages have one line: Ray Data adds one on how often it tried.
                raise type(cause)(str(cause).partition("\n")[0]) from error
        raise


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    queue = [error]
    while queue:
        current = queue.pop(0)
        if current is None or id(current) in seen:
            continue
        seen.add(id(current))
        yield current
        failures = getattr(current, "worker_failures", {})
        queue += [current.__cause__, getattr(current, "cause", None), *failures.values(), current.__context__]
