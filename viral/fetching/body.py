"""Response body as a binary file object."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import httpx

from viral.errors import TooLargeError
from viral.fetching.http import connection_error

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

    from viral.fetching.deadline import Deadline

MAX_PAGE_BYTES = 32 << 20  # after decompression; yt-dlp holds several copies of a page in memory


class ResponseBody(io.RawIOBase):
    """Decompressed body of `response`, read from the network on demand.

    Reading raises ReadError if the connection breaks, TimedOutError after the deadline, and TooLargeError above
    MAX_PAGE_BYTES.
    """

    def __init__(self, response: httpx.Response, deadline: Deadline) -> None:
        self._response, self._deadline = response, deadline
        self._chunks, self._buffered, self._size = response.iter_bytes(), b"", 0

    def readable(self) -> bool:
        """Always true."""
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        """Read up to `len(buffer)` bytes into the buffer; 0 at the end."""
        view = memoryview(buffer).cast("B")
        self._buffered = self._buffered or self._next_chunk()
        data, self._buffered = self._buffered[: len(view)], self._buffered[len(view) :]
        view[: len(data)] = data
        return len(data)

    def close(self) -> None:
        """Close the response too."""
        self._response.close()
        super().close()

    def _next_chunk(self) -> bytes:
        url = str(self._response.url)
        self._deadline.remaining()  # raises after the deadline
        try:
            chunk = next((chunk for chunk in self._chunks if chunk), b"")  # an empty chunk would signal the end
        except httpx.RequestError as error:
            raise connection_error(error, url) from error
        self._size += len(chunk)
        if self._size > MAX_PAGE_BYTES:
            raise TooLargeError(
                f"{url} is not a video, and as a page it is too large: more than {MAX_PAGE_BYTES} bytes"
            )
        return chunk
