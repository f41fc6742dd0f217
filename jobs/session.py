"""One Ray session for a command: this machine's own, or a cluster's by its address."""

from __future__ import annotations

import logging
import os
import re
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from viral.errors import ConfigError, ViralError
from viral.store import one_line

_PREFIX = "viral-ray-"
OBJECT_STORE_BYTES = 1 << 30  # vectors and ids only ever pass through it, never raw frames


@contextmanager
def session(address: str | None = None, *, debug: bool = False) -> Iterator[None]:
    """Connect to the cluster at `address` (or `$RAY_ADDRESS`), or start Ray on this machine and stop it at the end.

    Inside another session it does nothing, so that jobs can be called one after the other in one.

    Raises:
        ConfigError: no cluster answers at that address.
        ViralError: what a task raised of our own, without Ray's wrapping.
    """
    import ray

    if ray.is_initialized():
        yield
        return
    target = address or os.environ.get("RAY_ADDRESS")
    folder = None if target else _temporary_folder()
    try:
        _connect(target, folder, debug=debug)
        _quiet(debug=debug)
        with unwrapped():
            yield
    finally:
        ray.shutdown()
        if folder:
            shutil.rmtree(folder, ignore_errors=True)


def _connect(target: str | None, folder: Path | None, *, debug: bool) -> None:
    import ray

    level = logging.INFO if debug else logging.ERROR
    if folder is None:
        try:
            ray.init(target, log_to_driver=debug, logging_level=level)
        except (ConnectionError, ValueError) as error:
            raise ConfigError(f"no Ray cluster answers at {target}: {one_line(error)}") from error
        return
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # Ray turns token authentication on, and would write a token into the home directory if it were given none.
    os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
    ray.init(
        "local",
        include_dashboard=False,
        object_store_memory=OBJECT_STORE_BYTES,
        _temp_dir=str(folder),
        log_to_driver=debug,
        logging_level=level,
    )


def _temporary_folder() -> Path:
    """A folder for Ray's files, named by this process; those of processes that were killed are removed first."""
    for stale in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        match = re.match(rf"{_PREFIX}(\d+)-", stale.name)
        if match and not Path("/proc", match[1]).exists():
            shutil.rmtree(stale, ignore_errors=True)
    return Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-"))


def _quiet(*, debug: bool) -> None:
    """Ray Data's own progress and logs are for debugging; a job prints its own."""
    from ray.data import DataContext

    DataContext.get_current().enable_progress_bars = debug
    if not debug:
        logging.getLogger("ray.data").setLevel(logging.ERROR)
        logging.getLogger("ray.train").setLevel(logging.ERROR)


@contextmanager
def unwrapped() -> Iterator[None]:
    """Raise what a task or a training function raised of our own as itself, whatever Ray wrapped around it."""
    try:
        yield
    except Exception as error:  # looked through and raised again, whatever it is
        for cause in _causes(error):
            if isinstance(cause, ViralError):
                raise cause from None
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
