"""Operations on a local folder: the counterpart of `viral.storage.s3`."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from viral.storage.s3 import ObjectInfo


@contextmanager
def atomic_write(final: Path) -> Iterator[Path]:
    """Yield a temporary path next to `final`; rename it to `final` if the block succeeds, else delete it."""
    temporary = _temporary(final)
    try:
        yield temporary
        _sync(temporary)
        temporary.replace(final)
    finally:
        temporary.unlink(missing_ok=True)


def list_files(root: Path, prefix: str) -> Iterator[ObjectInfo]:
    """List the files below `prefix`, with keys relative to `root`, without temporary files; empty without a folder."""
    for folder, _, names in os.walk(root / prefix, onerror=_raise_unless_missing):
        for name in names:
            if name.startswith(".") and name.endswith(".tmp"):  # of `_temporary`
                continue
            path = Path(folder, name)
            with suppress(FileNotFoundError):  # deleted since its folder was listed
                yield ObjectInfo(path.relative_to(root).as_posix(), path.stat().st_size)


def write_new(final: Path, data: bytes) -> bool:
    """Write `data` to `final` unless that exists; return whether it was written."""
    temporary = _temporary(final)
    try:
        temporary.write_bytes(data)
        _sync(temporary)
        os.link(temporary, final)
    except FileExistsError:
        return False
    finally:
        temporary.unlink(missing_ok=True)
    return True


def delete(path: Path) -> None:
    """Delete a folder with its content; files that another process deletes meanwhile are ignored."""
    shutil.rmtree(path, onerror=_ignore_missing)


def _temporary(final: Path) -> Path:
    final.parent.mkdir(parents=True, exist_ok=True)
    return final.with_name(f".{final.name}.{uuid.uuid4().hex}.tmp")


def _sync(path: Path) -> None:
    """Flush the content to disk: a power cut after the file is renamed could otherwise leave it empty."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _raise_unless_missing(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError | NotADirectoryError):
        raise error


def _ignore_missing(_function: object, _path: str, exc_info: tuple[object, BaseException, object]) -> None:
    if not isinstance(exc_info[1], FileNotFoundError):
        raise exc_info[1]
