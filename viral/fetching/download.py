"""Download of one video file to disk, within the size limit; recognised by its first bytes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
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
    """A complete file: size, SHA-256 and extension of its container."""

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
) -> Download | None:
    """Download the video at `url` to `path`; None, after reading its head only, if it is no video.

    A connection that breaks before the declared length is retried from the start. Without a declared length, HTTP
    marks the end by closing the connection, so a break is not detected.

    Raises:
        PostError, FetchError: the download failed.
    """
    headers = {**(headers or {}), "Accept-Encoding": "identity"}  # size and hash are those of the bytes sent
    for attempt in range(1, client.settings.attempts + 1):
        response = client.send(url, deadline, headers=headers)
        try:
            check_status(response)
            _check_declared_size(response, max_bytes)
            return _save(response, path, max_bytes, deadline)
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


def _save(response: httpx.Response, path: Path, max_bytes: int, deadline: Deadline) -> Download | None:
    chunks = response.iter_bytes()
    head = _read_head(chunks)
    if not head:  # an empty body
        raise UnreadableError(f"{response.url} is empty")
    extension = container_extension(head)
    if extension is None:
        return None
    with path.open("wb") as file:
        size, digest = _copy(head, chunks, file, max_bytes, deadline, str(response.url))
    return Download(size, digest, extension)


def _read_head(chunks: Iterator[bytes]) -> bytes:
    head = b""
    for chunk in chunks:
        head += chunk
        if len(head) >= HEAD_BYTES:
            break
    return head


def _copy(
    head: bytes, chunks: Iterator[bytes], file: BinaryIO, max_bytes: int, deadline: Deadline, url: str
) -> tuple[int, str]:
    digest, size, chunk = hashlib.sha256(), 0, head
    while chunk:
        size += len(chunk)
        if size > max_bytes:
            raise TooLargeError(f"{url} is larger than media.max_bytes = {max_bytes}: stopped reading there")
        deadline.remaining()
        digest.update(chunk)
        file.write(chunk)
        chunk = next(chunks, b"")
    return size, digest.hexdigest()
