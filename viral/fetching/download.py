"""One file from the web to the disk: whole, within the size limit, and a video by its first bytes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import httpx

from viral.errors import ReadError, TooLargeError, UnreadableError
from viral.fetching.deadline import Clock
from viral.fetching.http import Web, check_status, failure_of
from viral.fetching.signatures import HEAD, extension


@dataclass(frozen=True)
class Download:
    """A file that is whole."""

    bytes: int
    sha256: str
    extension: str
    url: str


def download(
    web: Web, url: str, path: Path, max_bytes: int, clock: Clock, headers: Mapping[str, str] | None = None
) -> Download | None:
    """Bring the video at `url` to `path`; None where there is no video, of which no more than its head is read.

    A connection that breaks before the declared end is tried again from the start. Where the server declares no
    length and ends the connection instead, what came is taken for whole: HTTP has no other word for it.

    Raises:
        PostError, FetchError: it cannot be had.
    """
    asked = {**(headers or {}), "Accept-Encoding": "identity"}
    for attempt in range(1, web.settings.attempts + 1):
        response = web.send(url, clock, headers=asked)
        try:
            check_status(response)
            _check_declared(response, max_bytes)
            return _save(response, path, max_bytes, clock)
        except httpx.RequestError as error:
            if attempt == web.settings.attempts:
                raise failure_of(error, url) from error
        finally:
            response.close()
        web.pause(clock, attempt, url)
    raise ReadError(f"{url} was asked for zero times")


def _check_declared(response: httpx.Response, max_bytes: int) -> None:
    declared = response.headers.get("content-length", "")
    if declared.isdigit() and int(declared) > max_bytes:
        raise TooLargeError(f"{response.url} has {declared} bytes, more than media.max_bytes = {max_bytes}")


def _save(response: httpx.Response, path: Path, max_bytes: int, clock: Clock) -> Download | None:
    chunks = response.iter_bytes()
    head = _head(chunks)
    if not head:
        raise UnreadableError(f"{response.url} is empty")
    kind = extension(head)
    if kind is None:
        return None
    with path.open("wb") as file:
        size, digest = _copy(head, chunks, file, max_bytes, clock, str(response.url))
    return Download(size, digest, kind, str(response.url))


def _head(chunks: Iterator[bytes]) -> bytes:
    head = b""
    for chunk in chunks:
        head += chunk
        if len(head) >= HEAD:
            break
    return head


def _copy(
    head: bytes, chunks: Iterator[bytes], file: BinaryIO, max_bytes: int, clock: Clock, url: str
) -> tuple[int, str]:
    digest, size, chunk = hashlib.sha256(), 0, head
    while chunk:
        size += len(chunk)
        if size > max_bytes:
            raise TooLargeError(f"{url} is larger than media.max_bytes = {max_bytes}: stopped reading there")
        clock.left()
        digest.update(chunk)
        file.write(chunk)
        chunk = next(chunks, b"")
    return size, digest.hexdigest()
