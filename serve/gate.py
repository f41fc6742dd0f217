"""What every request passes before its work: the key, the limits and the time limit."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http import HTTPStatus

from fastapi import Request
from starlette.requests import ClientDisconnect

from serve.admission import Admission
from serve.errors import ApiError, OverloadedError, busy, too_many
from serve.keys import Keyring, TokenBucket
from serve.requests import expect
from serve.uploads import BodyReader

MAX_HEADER_BYTES = 32 << 10  # twice what other servers take: cookies and traces of a browser or a proxy fit
HEADER_OVERHEAD = 32  # bytes of each header beside its text, as HTTP/2 counts them


@dataclass
class Gate:
    """Lets requests in.

    Args:
        keys: the accepted keys.
        admission: the limits.
        min_upload_rate: bytes per second of a body.
        request_seconds: time limit of a request, from its arrival.
    """

    keys: Keyring
    admission: Admission
    min_upload_rate: int
    request_seconds: float
    draining: bool = False
    in_flight: int = 0
    _buckets: dict[str, TokenBucket] = field(default_factory=dict)

    @asynccontextmanager
    async def admit(
        self, request: Request, lane: str, limit: int = 0, kinds: Sequence[str] = ()
    ) -> AsyncIterator[BodyReader]:
        """Check the key, the queue and the budget of bytes; yields the body, which is not read yet.

        Args:
            request: the request.
            lane: where it will wait, if that is known before the body is read.
            limit: most bytes of a file or of JSON; 0 for a request without a body.
            kinds: accepted media types of the body.

        Raises:
            ApiError: the request is refused, or its time is over.
        """
        _check_headers(request)
        if self.draining:
            raise ApiError(HTTPStatus.SERVICE_UNAVAILABLE, "draining", "the endpoint is stopping", {"Retry-After": "2"})
        self._authorise(request)
        if kinds:
            expect(request, *kinds)
        body = BodyReader(request, limit, self.min_upload_rate)
        size = body.size
        self.admission.check(lane)
        self.in_flight += 1
        try:
            with self.admission.body(size):
                async with asyncio.timeout(self.request_seconds):
                    yield body
        except OverloadedError:
            raise busy() from None
        except TimeoutError:
            detail = f"no answer within {self.request_seconds:g} seconds"
            raise ApiError(HTTPStatus.GATEWAY_TIMEOUT, "deadline", detail) from None
        except ClientDisconnect:
            raise ApiError(HTTPStatus.BAD_REQUEST, "client_left", "the client left before the end") from None
        finally:
            self.in_flight -= 1

    async def drain(self) -> None:
        """Refuse new requests, and wait for those in flight."""
        self.draining = True
        while self.in_flight:
            await asyncio.sleep(0.05)

    def _authorise(self, request: Request) -> None:
        if self.keys.open:
            return
        given = request.headers.getlist("authorization")
        key = self.keys.find(given[0]) if len(given) == 1 else None
        if key is None:
            detail = "this endpoint needs `Authorization: Bearer <key>`"
            raise ApiError(HTTPStatus.UNAUTHORIZED, "unauthorized", detail, {"WWW-Authenticate": "Bearer"})
        if key.requests_per_second is not None:
            bucket = self._buckets.setdefault(key.name, TokenBucket(key.requests_per_second))
            # The file of keys may give another rate by now.
            bucket.rate = key.requests_per_second
            seconds = bucket.wait(time.monotonic())
            if seconds:
                raise too_many("rate_limited", f"this key allows {bucket.rate:g} requests per second", seconds)


def _check_headers(request: Request) -> None:
    size = sum(len(name) + len(value) + HEADER_OVERHEAD for name, value in request.scope["headers"])
    if size > MAX_HEADER_BYTES:
        status, detail = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, f"the headers exceed {MAX_HEADER_BYTES} bytes"
        raise ApiError(status, "headers_too_large", detail, {"Connection": "close"})
