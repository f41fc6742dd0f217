"""The body of a page as a file."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import httpx

from viral.errors import TooLargeError
from viral.fetching.http import failure_of

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

    from viral.fetching.deadline import Clock

LARGEST_PAGE = 32 << 20  # bytes, decoded: yt-dlp holds a page in memory several times over


class Body(io.RawIOBase):
    """The decoded body of `response`, read as it is asked for, while there is time.

    Reading raises ReadError where it breaks off, TimedOutError, and TooLargeError beyond what any page has.
    """

    def __init__(self, response: httpx.Response, clock: Clock) -> None:
        self._response, self._clock = response, clock
        self._chunks, self._rest, self._size = response.iter_bytes(), b"", 0

    def readable(self) -> bool:
        """Yes."""
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        """Fill the buffer, at least in part; 0 at the end."""
        view = memoryview(buffer).cast("B")
        self._rest = self._rest or self._next()
        taken, self._rest = self._rest[: len(view)], self._rest[len(view) :]
        view[: len(taken)] = taken
        return len(taken)

    def close(self) -> None:
        """Close the response too."""
        self._response.close()
        super().close()

    def _next(self) -> bytes:
        url = str(self._response.url)
        self._clock.left()
        try:
            chunk = next((chunk for chunk in self._chunks if chunk), b"")
        except httpx.RequestError as error:
            raise failure_of(error, url) from error
        self._size += len(chunk)
        if self._size > LARGEST_PAGE:
            raise TooLargeError(f"{url} is no video, and larger than any page: {LARGEST_PAGE} bytes")
        return chunk
