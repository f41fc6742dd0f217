"""Ray session of a command: a local one, or a connection to a cluster."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from jobs.runtime.cluster import check_cluster, check_nodes
from jobs.runtime.local_ray import isolated, start_local
from viral.errors import ConfigError, ViralError
from viral.storage.store import Store
from viral.storage.temporary import remove_abandoned, temporary_folder

_PREFIX = "viral-ray-"  # start of the name of Ray's temporary folder
# Program of the filter process: passes stderr on, without the lines of one warning.
_FILTER = """
import sys
for line in sys.stdin.buffer:
    if b"has constructor arguments in the object store" not in line:
        sys.stderr.buffer.write(line)
        sys.stderr.buffer.flush()
"""
FILTER_EXIT_TIMEOUT = 2.0  # seconds; the filter exits by itself after its last writer, so a longer wait is pointless
EXECUTOR_EXIT_TIMEOUT = 15.0  # seconds; on a busy machine an executor may still be starting actors
# Of 107 bytes for the path of a Unix socket, Ray and our folder take 86.
MAX_SOCKET_BASE = 21


@dataclass
class _Session:
    """An open session; `stack` ends what `connect` starts."""

    stack: ExitStack
    target: str | None
    store: Store | None
    debug: bool
    started: bool = False


_sessions: list[_Session] = []  # those that are open, of which only the outermost starts Ray


@contextmanager
def session(address: str | None = None, store: Store | None = None, *, debug: bool = False) -> Iterator[None]:
    """Open a session on the cluster at `address` (or `$RAY_ADDRESS`), or on this machine.

    On this machine, Ray starts when `connect` is called for the first time: small work runs in this process. It stops
    at the end of the block. A nested call uses the session that is open, so several jobs can share one.

    Args:
        address: of the cluster.
        store: the root, which every node of the cluster has to see.
        debug: show the output of Ray.

    Raises:
        ConfigError: no cluster answers at that address, or a node has another version. RootError: a node does not see
            the root.
        ViralError: raised by a task, without Ray's wrapping.
    """
    os.environ.setdefault("RAY_ENABLE_AUTO_CONNECT", "0")  # objects that outlive a session must not start another
    target = address or os.environ.get("RAY_ADDRESS")
    with ExitStack() as stack:
        if _sessions and _sessions[0].started and not is_connected():
            _sessions.clear()  # somebody has ended its Ray
        # Otherwise somebody else's Ray is running: use it, and leave it running at the end.
        if not _sessions and not is_connected():
            _sessions.append(_Session(stack, target, store, debug))
            stack.callback(_sessions.clear)
            if target:
                connect()  # a wrong address fails before any work
        with unwrapped():
            yield


def connect(*, metrics_port: int = 0) -> None:
    """Start Ray, or connect to it, unless the open session has done so.

    Args:
        metrics_port: port of Prometheus metrics of a Ray that is started; 0: none.
    """
    if is_connected():
        return
    assert _sessions, "open a session first"
    import ray

    # Only the outermost session starts and ends Ray.
    opened = _sessions[0]
    opened.started = True
    base = _socket_base()
    # A killed command leaves its folder behind; the next one removes it, since nobody holds its lock any more.
    remove_abandoned(_PREFIX, base)
    folder = opened.stack.enter_context(temporary_folder(_PREFIX, base))
    if not opened.debug:
        opened.stack.enter_context(_filtered_stderr())
    # The stack unwinds from the bottom up: frames are released and executors joined while Ray is up, then Ray ends,
    # then its output filter and its folder go.
    opened.stack.callback(ray.shutdown)
    opened.stack.callback(_await_executors)
    opened.stack.push(_release_frames)
    _connect(opened.target, folder, debug=opened.debug, metrics_port=metrics_port)
    _silence_ray(debug=opened.debug)
    if opened.target and opened.store:
        check_nodes(opened.store)


def is_connected() -> bool:
    """Whether this process is connected to Ray."""
    return "ray" in sys.modules and bool(sys.modules["ray"].is_initialized())


def on_cluster() -> bool:
    """Whether jobs run on a Ray that the open session has not started, or will not start: on a cluster, perhaps."""
    return _sessions[0].target is not None if _sessions else is_connected()


def check_resources(workers: int, cpus: float) -> None:
    """Raise ConfigError if a single machine lacks the cores for `workers` with `cpus` each: Ray would wait forever.

    Several machines pass unchecked, because a cluster may grow.
    """
    import ray

    connect()
    cores = float(ray.cluster_resources().get("CPU", 0))
    if len(ray.nodes()) == 1 and 0 < cores < workers * cpus:
        raise ConfigError(f"{workers} workers need more than the {cores:.0f} cores of this machine: lower --workers")


def _socket_base() -> Path | None:
    """Return a folder for Ray's sockets whose path is short enough; None for the default one of temporary files."""
    if len(os.fsencode(tempfile.gettempdir())) <= MAX_SOCKET_BASE:
        return None
    # /tmp is the shortest folder that every system has.
    if not os.access("/tmp", os.W_OK):  # noqa: S108 - a folder of its own is created in it
        raise ConfigError(f"the path of TMPDIR is too long for Ray's sockets: use at most {MAX_SOCKET_BASE} characters")
    return Path("/tmp")  # noqa: S108 - as above


def _connect(target: str | None, folder: Path, *, debug: bool, metrics_port: int) -> None:
    import ray

    if target:
        check_cluster(target)
        with isolated(folder):
            ray.init(target, log_to_driver=debug, logging_level=logging.INFO if debug else logging.ERROR)
        return
    start_local(folder, debug=debug, metrics_port=metrics_port)


@contextmanager
def _filtered_stderr() -> Iterator[None]:
    """Drop one warning of Ray's C++ core from stderr; Ray Data triggers it whenever it starts actors.

    Ray 2.60.0 has no setting for it. The filter is a process, not a thread: what the core writes just before it aborts
    this process still reaches the terminal.
    """
    stderr = sys.stderr
    if stderr is not sys.__stderr__ or stderr is None or stderr.fileno() != 2:
        yield  # a notebook or a test has replaced stderr: leave it alone
        return
    with os.fdopen(os.dup(2), "w", buffering=1, encoding=stderr.encoding, errors=stderr.errors) as terminal:
        command = [sys.executable, "-I", "-S", "-c", _FILTER]
        child = subprocess.Popen(command, stdin=subprocess.PIPE, stderr=terminal, start_new_session=True)  # noqa: S603 - our own interpreter
        assert child.stdin is not None, "PIPE"
        # Ray's core writes to file descriptor 2 itself, past `sys.stderr`.
        os.dup2(child.stdin.fileno(), 2)
        child.stdin.close()
        sys.stderr = terminal  # Python's own output, progress bars included, is not filtered
        try:
            yield
        finally:
            sys.stderr = stderr
            os.dup2(terminal.fileno(), 2)
            with suppress(subprocess.TimeoutExpired):
                child.wait(FILTER_EXIT_TIMEOUT)  # it exits after its last writer, which may outlive this session


def _release_frames(_kind: object, _error: object, trace: TracebackType | None) -> None:
    """Clear the frames of an error while Ray is up: Ray Data's iterators need Ray when they are garbage-collected."""
    traceback.clear_frames(trace)


def _await_executors() -> None:
    """Join Ray Data's executor threads: Ray waits 2 s for them, and one that outlives Ray crashes the process."""
    for thread in threading.enumerate():
        if thread.name.startswith("StreamingExecutor-"):  # internal to Ray: checked against 2.60.0
            thread.join(EXECUTOR_EXIT_TIMEOUT)


def _silence_ray(*, debug: bool) -> None:
    """Turn off Ray's progress bars and logs unless debugging: jobs print their own progress and raise errors."""
    import ray._private.worker
    from ray.data import DataContext

    # Even with log_to_driver=False, Ray prints errors of dying workers to stdout, which is for the summary alone. There
    # is no public switch: checked against Ray 2.60.0.
    ray._private.worker._worker_logs_enabled = debug
    context = DataContext.get_current()
    context.raise_original_map_exception = True  # the default, UserCodeException, carries only its text
    context.enable_progress_bars = debug
    if not debug:
        for name in ("ray.data", "ray.train", "ray.tune"):  # the errors they log are also raised
            logging.getLogger(name).setLevel(logging.CRITICAL)


@contextmanager
def unwrapped() -> Iterator[None]:
    """Re-raise the `ViralError` inside Ray's wrappers; without one, the error itself."""
    try:
        yield
    except Exception as error:  # any wrapper of Ray; always re-raised
        if "ray" not in sys.modules:
            raise
        import ray.exceptions

        for cause in _causes(error):
            # A RayTaskError also subclasses the class of its cause.
            if isinstance(cause, ViralError) and not isinstance(cause, ray.exceptions.RayError):
                # Our messages have one line; Ray Data appends another about its retries.
                raise type(cause)(str(cause).partition("\n")[0]) from error
        raise


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    # Causes may form a circle.
    seen: set[int] = set()
    # Breadth first: the cause nearest to the caller wins over deeper ones.
    queue = [error]
    while queue:
        current = queue.pop(0)
        if current is None or id(current) in seen:
            continue
        seen.add(id(current))
        yield current
        failures = getattr(current, "worker_failures", {})
        queue += [current.__cause__, getattr(current, "cause", None), *failures.values(), current.__context__]
