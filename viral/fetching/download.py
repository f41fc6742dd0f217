"""Download of one video file to disk, within the size limit."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import httpx

from viral.errors import ReadError, TooLargeError, UnreadableError
from viral.fetching.deadline import Deadline
from viral.fetching.http import LimitedClient, check_status, connection_error
from viral.fetching.signatures import HEAD_BYTES, container_extension


@dataclass(frozen=True)
class Download:
    """Facts of a downloaded file: size in bytes, SHA-256, and file extension of its format."""

    bytes: int
    sha256: str
    extension: str


def download(
    client: LimitedClient,
    url: str,
    path: Path,
    max_bytes: int,
    deadline: Deadline,
    headers: Mapping[str, str] | None = None,
    *,
    extension_of: Callable[[bytes], str | None] = container_extension,
) -> Download | None:
    """Download the video at `url` to `path`; return None, after its first bytes, if it is not a video.

    `extension_of` returns the extension of a file by its first bytes, None for files that are not wanted.

    A connection that breaks before the declared length is retried from the start. Without a declared length a break is
    not detected, because a closed connection is then the regular end.

    Raises:
        PostError, FetchError: the download failed.
    """
    headers = {**(headers or {}), "Accept-Encoding": "identity"}  # no compression: the size limit counts the sent bytes
    for attempt in range(1, client.settings.attempts + 1):
        response = client.send(url, deadline, headers=headers)
        try:
            check_status(response)
            _check_declared_size(response, max_bytes)
            return _save(response, path, max_bytes, deadline, extension_of)
        except httpx.RequestError as error:
            if attempt == client.settings.attempts:
                raise connection_error(error, url) from error
        finally:
            response.close()  # the body may be unread
        client.backoff(deadline, attempt, url)
    raise ReadError(f"{url}: no attempt was made")


def _check_declared_size(response: httpx.Response, max_bytes: int) -> None:
    declared = response.headers.get("content-length", "")
    if declared.isdigit() and int(declared) > max_bytes:
        raise TooLargeError(f"{response.url} has {declared} bytes, more than media.max_bytes = {max_bytes}")


def _save(
    response: httpx.Response,
    path: Path,
    max_bytes: int,
    deadline: Deadline,
    extension_of: Callable[[bytes], str | None],
) -> Download | None:
    chunks, head = response.iter_bytes(), b""
    # Look at the first bytes before anything is written: most URLs that are no video are pages.
    while len(head) < HEAD_BYTES and (chunk := next(chunks, b"")):
        head += chunk
    if not head:
        raise UnreadableError(f"{response.url} is empty")
    extension = extension_of(head)
    if extension is None:
        return None
    with path.open("wb") as file:
        size, digest = _copy(head, chunks, file, max_bytes, deadline, str(response.url))
    return Download(size, digest, extension)


def _copy(
    head: bytes, chunks: Iterator[bytes], file: BinaryIO, max_bytes: int, deadline: Deadline, url: str
) -> tuple[int, str]:
    digest, size, chunk = hashlib.sha256(), 0, head
    # Counted while it is read: a declared size may be missing or wrong.
    while chunk:
        size += len(chunk)
        if size > max_bytes:
            raise TooLargeError(f"{url} is larger than media.max_bytes = {max_bytes}: stopped reading there")
        deadline.remaining()
        digest.update(chunk)
        file.write(chunk)
        chunk = next(chunks, b"")
    return size, digest.hexdigest()
