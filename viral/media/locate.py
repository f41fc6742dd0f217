"""A post's video as a local file, wherever it lies."""

from __future__ import annotations

import errno
import os
import random
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import unquote, urlsplit

from viral.errors import (
    AccessDeniedError,
    MissingObjectError,
    PostError,
    ReadError,
    StorageError,
    TooLargeError,
)
from viral.storage import s3
from viral.storage.store import Store, one_line

ATTEMPTS = 3
NO_SUCH_FILE = {errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG, errno.ELOOP}
RETRIES_WITHIN = 120.0  # seconds from the first attempt; boto3 backs off within each


_PREFIX = "viral-video-"


def remove_leftovers() -> None:
    """Remove the copies of videos that processes of this machine left when they were killed."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*-*"):
        owner = folder.name.removeprefix(_PREFIX).partition("-")[0]
        if owner.isdecimal() and not Path("/proc", owner).exists():
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def local_video(store: Store, video_uri: str | None, max_bytes: int) -> Iterator[Path]:
    """The video at `video_uri` (a key below the root, an absolute path, or an `s3://` address) as a local file.

    What lies in a folder is read in place; an object is copied to a temporary file that the block's end removes.

    Raises:
        MissingObjectError, AccessDeniedError, TooLargeError, ReadError: it cannot be had.
    """
    if not video_uri:
        raise MissingObjectError("the post has no video URI")
    if "://" in video_uri and not video_uri.startswith(("s3://", "file://")):
        raise MissingObjectError(f"{video_uri} is not in the store: fetch it first")
    uri = _path_of(video_uri) if video_uri.startswith("file://") else video_uri
    uri = uri if uri.startswith(("s3://", "/")) else store.uri(uri)
    if uri.startswith("s3://"):
        with _downloaded(uri, max_bytes) as path:
            yield path
    else:
        yield _checked(Path(uri), max_bytes)


def _path_of(uri: str) -> str:
    try:
        return unquote(urlsplit(uri).path)
    except ValueError as error:
        raise MissingObjectError(f"{uri} is no address of a file: write file:///path") from error


def _checked(path: Path, max_bytes: int) -> Path:
    try:
        size = path.stat().st_size
    except PermissionError as error:
        raise AccessDeniedError(f"{path}: permission denied") from error
    except OSError as error:
        if error.errno not in NO_SUCH_FILE:
            raise ReadError(f"{path}: {one_line(error)}") from error
        raise MissingObjectError(f"there is no file {str(path)!r}") from error
    except ValueError as error:  # no path at all, with a null character in it
        raise MissingObjectError(f"there is no file {str(path)!r}") from error
    if not path.is_file():
        raise MissingObjectError(f"{path} is not a file")
    if not os.access(path, os.R_OK):
        raise AccessDeniedError(f"{path}: permission denied")
    _check_size(str(path), size, max_bytes)
    return path


def _check_size(uri: str, size: int, max_bytes: int) -> None:
    if size > max_bytes:
        raise TooLargeError(f"{uri} has {size} bytes, more than media.max_bytes = {max_bytes}")


@contextmanager
def _downloaded(uri: str, max_bytes: int) -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-"))
    try:
        path = folder / f"video{Path(uri).suffix[:8]}"
        _download(uri, path, max_bytes)
        yield path
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _download(uri: str, path: Path, max_bytes: int) -> None:
    from botocore.exceptions import BotoCoreError, ClientError

    until = time.monotonic() + RETRIES_WITHIN
    for attempt in range(1, ATTEMPTS + 1):
        try:
            _copy(uri, path, max_bytes)
        except (BotoCoreError, ClientError, OSError) as error:
            if isinstance(error, OSError) and error.errno == errno.ENOSPC:
                raise StorageError(
                    f"no space left for a copy of {uri} in {tempfile.gettempdir()}: free some"
                ) from error
            failure = _as_post_error(uri, error)
            last = attempt == ATTEMPTS or time.monotonic() > until
            if last or not isinstance(failure, ReadError):
                raise failure from error
            time.sleep(random.uniform(0, 2.0**attempt))  # noqa: S311 - no secret: so that not all come again at once
        else:
            return


def _copy(uri: str, path: Path, max_bytes: int) -> None:
    """One attempt. boto3 tries a request again by itself, but not the reading of an answer that breaks off."""
    answer = s3.answer(uri)
    with closing(answer["Body"]) as body, path.open("wb") as file:  # its own `with` would give the unchecked stream
        _check_size(uri, answer["ContentLength"], max_bytes)
        shutil.copyfileobj(body, file, 1 << 20)


def _as_post_error(uri: str, error: Exception) -> PostError:
    code = s3.code(error)
    if code in s3.MISSING or code == "ParamValidationError":  # no bucket can have that name
        return MissingObjectError(f"there is no object {uri}")
    if code in s3.DENIED:
        return AccessDeniedError(f"{uri}: {code}")
    return ReadError(f"{uri}: {one_line(error)}")
