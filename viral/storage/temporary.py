"""Temporary folders that are removed at the end, by another process if this one is killed."""

from __future__ import annotations

import fcntl
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_LOCK = "in-use"  # file that the owner of a folder locks; the kernel unlocks it when the owner dies


@contextmanager
def temporary_folder(prefix: str, base: Path | None = None) -> Iterator[Path]:
    """Create a folder whose name starts with `prefix`, and remove it at the end of the block.

    Args:
        prefix: start of its name.
        base: folder to create it in; None: the default one of temporary files.
    """
    folder = Path(tempfile.mkdtemp(prefix=prefix, dir=base))
    try:
        with (folder / f"{_LOCK}.new").open("wb") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            (folder / f"{_LOCK}.new").rename(folder / _LOCK)  # renamed after locking, so no other process removes it
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def remove_abandoned(prefix: str, base: Path | None = None) -> None:
    """Remove the folders of `temporary_folder` whose owners were killed, in this or another container."""
    for lock in Path(base or tempfile.gettempdir()).glob(f"{prefix}*/{_LOCK}"):
        with suppress(OSError), lock.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(lock.parent, ignore_errors=True)
