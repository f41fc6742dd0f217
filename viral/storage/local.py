"""Files below a folder, as a root takes them; what `viral.storage.s3` is for a bucket."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from viral.storage.s3 import ObjectInfo


@contextmanager
def aside(final: Path) -> Iterator[Path]:
    """A path beside `final` to write to: it takes `final`'s place if the block ends well, else it vanishes."""
    temporary = _temporary(final)
    try:
        yield temporary
        _sync(temporary)
        temporary.replace(final)
    finally:
        temporary.unlink(missing_ok=True)


def walk(root: Path, prefix: str) -> Iterator[ObjectInfo]:
    """The files below `prefix`, with keys from `root`; none where there is no such folder, none half-written."""
    for folder, _, names in os.walk(root / prefix, onerror=_raise_unless_gone):
        for name in names:
            path = Path(folder, name)
            if _is_temporary(name):
                continue
            with suppress(FileNotFoundError):  # deleted since its folder was read
                yield ObjectInfo(path.relative_to(root).as_posix(), path.stat().st_size)


def write_new(final: Path, data: bytes) -> bool:
    """Put `data` at `final` unless something is there already; says whether it was put."""
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
    """Delete a folder and all in it; what is gone already is no error."""
    shutil.rmtree(path, onerror=_unless_gone)


def _temporary(final: Path) -> Path:
    final.parent.mkdir(parents=True, exist_ok=True)
    return final.with_name(f".{final.name}.{uuid.uuid4().hex}.tmp")


def _is_temporary(name: str) -> bool:
    return name.startswith(".") and name.endswith(".tmp")


def _sync(path: Path) -> None:
    """Bring a file's content to the disk before its name: else a power cut can leave an empty file under it."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _raise_unless_gone(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError | NotADirectoryError):
        raise error


def _unless_gone(_function: object, _path: str, failure: tuple[object, BaseException, object]) -> None:
    if not isinstance(failure[1], FileNotFoundError):
        raise failure[1]
