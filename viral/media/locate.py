"""Access to the video of a post as a local file, wherever it is stored."""

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
from viral.storage.temporary import temporary_folder

# boto3 retries requests, but not downloads that break off: these attempts cover them.
DOWNLOAD_ATTEMPTS = 3
RETRY_SECONDS = 120.0  # start no further attempt after this time: the retries of boto3 itself add up

NO_SUCH_FILE = {errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG, errno.ELOOP}
COPIES = "viral-video-"  # start of the names of temporary folders


@contextmanager
def local_video(store: Store, video_uri: str | None, max_bytes: int) -> Iterator[Path]:
    """Provide the video at `video_uri` (a key below the root, an absolute path or an `s3://` URI) as a local file.

    A file is read in place; an object is downloaded to a temporary file that is removed at the end of the block.

    Raises:
        MissingObjectError, AccessDeniedError, TooLargeError, ReadError: the video cannot be read.
        StorageError: no video can be read, because the credentials are missing or expired, the region is wrong or the
            bucket of the root is gone.
    """
    uri = resolve(store, video_uri)
    if not uri.startswith("s3://"):
        yield _readable_file(Path(uri), max_bytes)
        return
    with temporary_folder(COPIES) as folder:
        path = folder / f"video{Path(uri).suffix[:8]}"  # the suffix of a key can be of any length
        _download(store, uri, path, max_bytes)
        yield path


def resolve(store: Store, video_uri: str | None) -> str:
    """Return the absolute path or the `s3://` URI of a video. Raises MissingObjectError: it has neither."""
    if not video_uri:
        raise MissingObjectError("the post has no video URI")
    if "://" in video_uri and not video_uri.startswith(("s3://", "file://")):
        raise MissingObjectError(f"{video_uri} is not in the store: fetch it first")
    uri = video_uri
    if uri.startswith("file://"):
        try:
            uri = unquote(urlsplit(uri).path)
        except ValueError as error:
            raise MissingObjectError(f"{uri} is not the URI of a file: write file:///path") from error
    return uri if uri.startswith(("s3://", "/")) else store.uri(uri)


def is_readable(store: Store, video_uri: str) -> bool:
    """Whether a video is not denied; it may be missing."""
    from botocore.exceptions import BotoCoreError, ClientError

    uri = resolve(store, video_uri)
    if not uri.startswith("s3://"):
        return os.access(uri, os.R_OK) or not Path(uri).exists()
    try:
        s3.get_object(uri)["Body"].close()
    except (BotoCoreError, ClientError) as error:
        return s3.error_code(error) not in s3.DENIED_CODES
    return True


def _readable_file(path: Path, max_bytes: int) -> Path:
    try:
        size = path.stat().st_size
    except PermissionError as error:
        raise AccessDeniedError(f"{path}: permission denied") from error
    except OSError as error:
        if error.errno not in NO_SUCH_FILE:
            raise ReadError(f"{path}: {one_line(error)}") from error
        raise MissingObjectError(f"there is no file {str(path)!r}") from error
    except ValueError as error:  # a null character in the path
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


def _download(store: Store, uri: str, path: Path, max_bytes: int) -> None:
    from botocore.exceptions import BotoCoreError, ClientError

    deadline = time.monotonic() + RETRY_SECONDS
    for attempt in range(1, DOWNLOAD_ATTEMPTS + 1):
        try:
            _download_once(uri, path, max_bytes)
        except (BotoCoreError, ClientError, OSError) as error:
            # A full disk fails every post: it ends the run instead of marking this one.
            if isinstance(error, OSError) and error.errno == errno.ENOSPC:
                raise StorageError(f"no space left in {tempfile.gettempdir()} to download {uri}: free some") from error
            failure = _as_viral_error(store, uri, error)
            last = attempt == DOWNLOAD_ATTEMPTS or time.monotonic() > deadline
            # S3 denies access with good keys under load (ray#47230), so that a denial is tried again, too.
            if last or not isinstance(failure, ReadError | AccessDeniedError):
                raise failure from error
            time.sleep(random.uniform(0, 2.0**attempt))  # noqa: S311 - jitter keeps workers from retrying at the same time
        else:
            return


def _download_once(uri: str, path: Path, max_bytes: int) -> None:
    response = s3.get_object(uri)
    # Not `with response["Body"]`: that yields a stream that does not check its length.
    with closing(response["Body"]) as body, path.open("wb") as file:
        _check_size(uri, response["ContentLength"], max_bytes)
        shutil.copyfileobj(body, file, 1 << 20)  # 1 MiB per block


def _as_viral_error(store: Store, uri: str, error: Exception) -> PostError | StorageError:
    """Convert an error of a download: of this object, or of the whole run."""
    code = s3.error_code(error)
    if code in s3.CREDENTIAL_CODES:
        return StorageError(f"{uri}: {code}: renew the credentials and run the same command again")
    if code in s3.REGION_CODES:
        return StorageError(f"{uri}: {code}: set AWS_REGION or AWS_ENDPOINT_URL to that of the bucket")
    # Without the bucket of the root no post can be read; another bucket concerns only the posts in it.
    if code == "NoSuchBucket" and store.on_s3 and s3.split_uri(uri)[0] == s3.split_uri(store.root)[0]:
        return StorageError(f"there is no bucket {s3.split_uri(uri)[0]} any more: restore it, or correct --root")
    if code in s3.MISSING_CODES or code == "ParamValidationError":  # an invalid bucket name
        return MissingObjectError(f"there is no object {uri}")
    if code in s3.DENIED_CODES:
        return AccessDeniedError(f"{uri} is denied ({code})")
    return ReadError(f"{uri}: {one_line(error)}")
