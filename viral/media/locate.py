"""Provides a post's video as a local file, wherever it is stored."""

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

# boto3 retries each request itself; these cover replies that break off, which it does not retry.
DOWNLOAD_ATTEMPTS = 3
RETRY_SECONDS = 120.0  # no further attempt this long after the first: boto3's own back-off adds up

NO_SUCH_FILE = {errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG, errno.ELOOP}
_PREFIX = "viral-video-"


def remove_stale_copies() -> None:
    """Remove the temporary copies of videos that killed processes of this machine left behind."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*-*"):
        owner = folder.name.removeprefix(_PREFIX).partition("-")[0]
        if owner.isdecimal() and not Path("/proc", owner).exists():
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def local_video(store: Store, video_uri: str | None, max_bytes: int) -> Iterator[Path]:
    """Provide the video at `video_uri` (a key below the root, an absolute path or an `s3://` URI) as a local file.

    A file is read in place; an object is downloaded to a temporary file that is removed at the end of the block.

    Raises:
        MissingObjectError, AccessDeniedError, TooLargeError, ReadError: the video cannot be read.
    """
    if not video_uri:
        raise MissingObjectError("the post has no video URI")
    if "://" in video_uri and not video_uri.startswith(("s3://", "file://")):
        raise MissingObjectError(f"{video_uri} is not in the store: fetch it first")
    uri = _path_from_uri(video_uri) if video_uri.startswith("file://") else video_uri
    uri = uri if uri.startswith(("s3://", "/")) else store.uri(uri)
    if uri.startswith("s3://"):
        with _downloaded(uri, max_bytes) as path:
            yield path
    else:
        yield _checked(Path(uri), max_bytes)


def _path_from_uri(uri: str) -> str:
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
    except ValueError as error:  # a null character
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
        path = folder / f"video{Path(uri).suffix[:8]}"  # the "suffix" of a key may be of any length
        _download(uri, path, max_bytes)
        yield path
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _download(uri: str, path: Path, max_bytes: int) -> None:
    from botocore.exceptions import BotoCoreError, ClientError

    until = time.monotonic() + RETRY_SECONDS
    for attempt in range(1, DOWNLOAD_ATTEMPTS + 1):
        try:
            _copy(uri, path, max_bytes)
        except (BotoCoreError, ClientError, OSError) as error:
            if isinstance(error, OSError) and error.errno == errno.ENOSPC:
                raise StorageError(
                    f"no space left for a copy of {uri} in {tempfile.gettempdir()}: free some"
                ) from error
            failure = _as_post_error(uri, error)
            last = attempt == DOWNLOAD_ATTEMPTS or time.monotonic() > until
            if last or not isinstance(failure, ReadError):
                raise failure from error
            time.sleep(random.uniform(0, 2.0**attempt))  # noqa: S311 - jitter, so that not all workers retry at once
        else:
            return


def _copy(uri: str, path: Path, max_bytes: int) -> None:
    """Download in one attempt."""
    response = s3.get_object(uri)
    with (
        closing(response["Body"]) as body,
        path.open("wb") as file,
    ):  # the body's own `with` yields a stream without length check
        _check_size(uri, response["ContentLength"], max_bytes)
        shutil.copyfileobj(body, file, 1 << 20)  # in blocks of 1 MiB


def _as_post_error(uri: str, error: Exception) -> PostError:
    code = s3.error_code(error)
    if code in s3.MISSING_CODES or code == "ParamValidationError":  # no bucket can have that name
        return MissingObjectError(f"there is no object {uri}")
    if code in s3.DENIED_CODES:
        return AccessDeniedError(f"{uri}: {code}")
    return ReadError(f"{uri}: {one_line(error)}")
