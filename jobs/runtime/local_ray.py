"""A Ray node of this machine alone, for the time of a session."""

from __future__ import annotations

import logging
import os
import secrets
import signal
import threading
from collections.abc import Iterator
from contextlib import chdir, contextmanager
from pathlib import Path

import viral
from viral.errors import ViralError

METRICS_SWITCH = "RAY_enable_metrics_collection"
"""Variable that says whether Ray's nodes export metrics."""
LOCAL = {
    "RAY_USAGE_STATS_ENABLED": "0",
    # Ray Train: poll workers every 0.25 s (default 2 s), and start no process that watches for spot preemption. The
    # defaults take a fifth of a short training.
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.25",
    "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "0",
    # Keep an idle worker process for 60 s (default 1 s): starting one takes 2 s of a core.
    "RAY_idle_worker_killing_time_threshold_ms": "60000",
    # Look for new logs once per second, not ten times, which takes 1 % of a core all the time.
    "RAY_LOG_MONITOR_MANY_FILES_THRESHOLD": "0",
    "LOG_NAME_UPDATE_INTERVAL_S": "1",
    # Measure the processes of the node once per minute, not every 5 s: without a dashboard, only its metrics show them.
    "REPORTER_UPDATE_INTERVAL_MS": "60000",
    # No metrics: each would be a port at all interfaces. The two with a fixed number cannot be bound, and stay closed.
    METRICS_SWITCH: "0",
    "AUTOSCALER_METRIC_PORT": "-1",
    "DASHBOARD_METRIC_PORT": "-1",
}
"""Environment of a local Ray. The names are internal to Ray: checked against 2.60.0."""
OBJECT_STORE_BYTES = 1 << 30  # 1 GiB: only vectors, ids and decoded, resized frames pass through it
STARTS = 3  # of a node: Ray gives up after 30 s, which a machine that starts several at once may need
TOO_SLOW = "timed out during startup"
"""In the message of Ray 2.60's bare Exception about a node that takes too long to start."""
_NO_MEMORY = "memory on this node available for tasks"  # in the message of its ValueError


class RayStartError(ViralError):
    """Ray did not start: this machine is too busy, or has no memory left for it."""


def start_local(folder: Path, *, debug: bool, metrics_port: int = 0) -> None:
    """Start a Ray node, with its files in `folder`.

    Args:
        folder: for Ray's files.
        debug: show Ray's own output.
        metrics_port: port of Prometheus metrics, at all interfaces; 0: none.

    Raises:
        RayStartError: it did not start in time, repeatedly, or no memory is left for it.
    """
    for name, value in LOCAL.items():
        os.environ.setdefault(name, value)
    if metrics_port:
        os.environ[METRICS_SWITCH] = "1"
    # Without a token, Ray would generate one and write it into the home directory.
    os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
    _add_to_path()
    with _child_tmpdir(folder / "files"), isolated(folder):
        for attempt in range(1, STARTS + 1):
            try:
                _init(folder, debug=debug, metrics_port=metrics_port)
                return
            except Exception as error:  # Ray raises it bare; any other is raised again
                if _NO_MEMORY in str(error):
                    raise RayStartError(
                        f"Ray did not start: less than {OBJECT_STORE_BYTES >> 30} GiB of this machine's memory is "
                        "free; end other programs, and run the command again"
                    ) from error
                if TOO_SLOW not in str(error):
                    raise
                if attempt == STARTS:
                    raise RayStartError("Ray did not start: this machine is too busy; run the command again") from error


def _init(folder: Path, *, debug: bool, metrics_port: int) -> None:
    import ray

    ray.init(
        "local",
        include_dashboard=False,
        object_store_memory=OBJECT_STORE_BYTES,
        _temp_dir=str(folder),  # not RAY_TMPDIR: the variable would outlive the session
        _metrics_export_port=metrics_port or None,
        log_to_driver=debug,
        logging_level=logging.INFO if debug else logging.ERROR,
    )


@contextmanager
def isolated(folder: Path) -> Iterator[None]:
    """Start Ray in a folder of ours, from which its workers import modules; keep this process's signal handlers.

    In the user's folder, a file like `numpy.py` would replace a package.
    """
    # Only the main thread may set signal handlers.
    main = threading.current_thread() is threading.main_thread()
    before = signal.getsignal(signal.SIGTERM)
    safe = folder / "empty"
    safe.mkdir()
    # Workers inherit the working directory, and import from it before anything else.
    with chdir(safe):
        yield
    if main and callable(before):  # Ray's own handler would end the process without a word
        signal.signal(signal.SIGTERM, before)


def _add_to_path() -> None:
    """Let workers import this code where it is not installed: from a checkout."""
    code = str(Path(viral.__file__).parent.parent)
    paths = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    # An installed package is found anyway.
    if "site-packages" not in Path(code).parts and code not in paths:
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [code, *paths]))


@contextmanager
def _child_tmpdir(folder: Path) -> Iterator[None]:
    """Point `TMPDIR` of child processes to `folder`: if killed, they leave temporary files behind."""
    folder.mkdir()
    before = os.environ.get("TMPDIR")
    os.environ["TMPDIR"] = str(folder)
    try:
        yield
    finally:
        del os.environ["TMPDIR"]
        if before is not None:
            os.environ["TMPDIR"] = before
