"""Request bodies: read under limits on their size, their rate and their time; files go to disk as they come."""

from __future__ import annotations

import asyncio
import hashlib
import os
import time
from collections.abc import AsyncGenerator, Coroutine
from http import HTTPStatus
from typing import Any, TypeVar

from fastapi import Request
from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect

from serve.errors import ApiError

T = TypeVar("T")

FORM_OVERHEAD = 64 << 10  # room for the other fields of a form with the largest video
FORM_FIELDS = 20  # twice the number of fields of a draft
FORM_FILES = 10  # drafts that can be compared
GRACE_SECONDS = 10.0  # before the rate of a body counts: a slow start, or a busy proxy, is no slow client


class BodyReader:
    """Reads the body of one request under its limits.

    Args:
        request: the request.
        limit: most bytes of a file or of JSON; a body may have `FORM_OVERHEAD` more. 0: there is no body.
        rate: bytes per second that must have come on average, once `GRACE_SECONDS` have passed.
    """

    def __init__(self, request: Request, limit: int, rate: int) -> None:
        self._request, self._named_limit, self._rate = request, limit, rate
        self._limit = limit + FORM_OVERHEAD if limit else 0

    @property
    def size(self) -> int:
        """Size by `Content-Length`; the limit for a body of unknown length.

        Raises:
            ApiError: it is no number, or above the limit.
        """
        lengths = self._request.headers.getlist("content-length")
        if not lengths:
            return self._limit
        length = lengths[0]
        if len(set(lengths)) > 1 or not (length.isascii() and length.isdigit()):
            raise ApiError(HTTPStatus.BAD_REQUEST, "bad_request", "the Content-Length is no single number")
        if len(length) > 18 or int(length) > self._limit:  # 18 digits: parsing longer ones is quadratic
            raise self._too_large()
        return int(length)

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """Yield the body as it comes.

        Raises:
            ApiError: it is too large or too slow, or the client left.
        """
        started, total = time.monotonic(), 0
        stream = self._request.stream().__aiter__()
        while True:
            remaining = GRACE_SECONDS + total / self._rate - (time.monotonic() - started)
            try:
                async with asyncio.timeout(max(remaining, 0)):
                    chunk = await anext(stream)
            except TimeoutError:
                detail = f"the body comes slower than {self._rate} bytes per second"
                raise ApiError(HTTPStatus.REQUEST_TIMEOUT, "slow_body", detail, {"Connection": "close"}) from None
            except StopAsyncIteration:
                return
            total += len(chunk)
            if total > self._limit:
                raise self._too_large()
            yield chunk

    async def read(self) -> bytes:
        """Return the whole body. Raises as `chunks` does."""
        return b"".join([chunk async for chunk in self.chunks()])

    async def form(self) -> FormData:
        """Parse a form; its files go to unnamed temporary files, which end with this process even if it is killed.

        Raises:
            ApiError: it is no form, or as `chunks`.
        """
        parser = _FormParser(self._request.headers, self.chunks(), max_files=FORM_FILES, max_fields=FORM_FIELDS)
        try:
            return await parser.parse()
        except MultiPartException as error:
            raise ApiError(HTTPStatus.BAD_REQUEST, "bad_request", error.message) from error
        except KeyError:  # no boundary in the Content-Type
            raise ApiError(HTTPStatus.BAD_REQUEST, "bad_request", "the form has no boundary") from None

    def _too_large(self) -> ApiError:
        detail = f"the body is larger than {self._named_limit} bytes"
        return ApiError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "too_large", detail, {"Connection": "close"})


async def while_connected(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """Await what follows the body; cancel it when the client leaves.

    Raises:
        ClientDisconnect: the client has left.
    """
    task, left = asyncio.ensure_future(work), asyncio.ensure_future(request.receive())
    both: set[asyncio.Future[Any]] = {task, left}
    try:
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        raise ClientDisconnect
    finally:
        task.cancel()
        left.cancel()


class _FormParser(MultiPartParser):
    """Refuses text that is not UTF-8: Starlette reads it as something else, which changes the score.

    The encodings that a client may name include Python's own: one of them takes minutes for a megabyte.
    """

    def on_part_begin(self) -> None:
        """Check the encoding that the form names."""
        super().on_part_begin()
        if self._charset != "utf-8":
            raise MultiPartException("Send text as UTF-8.")

    def on_part_end(self) -> None:
        """Check a field that is no file."""
        if self._current_part.file is None:
            try:
                self._current_part.data.decode()
            except UnicodeDecodeError:
                raise MultiPartException("A field of the form is not UTF-8.") from None
        super().on_part_end()


def local_path(file: UploadFile) -> str:
    """Return a path of an uploaded file that other processes of this machine can open while the form is open."""
    spooled = file.file
    spooled.rollover()  # type: ignore[attr-defined]  # a SpooledTemporaryFile: from memory to disk
    return f"/proc/{os.getpid()}/fd/{spooled.fileno()}"


def sha256(file: UploadFile) -> str:
    """SHA-256 of an uploaded file."""
    file.file.seek(0)
    digest = hashlib.file_digest(file.file, "sha256").hexdigest()  # type: ignore[arg-type]  # BinaryIO can all it asks for
    file.file.seek(0)
    return digest
