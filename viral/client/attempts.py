"""Attempts at one request: deadline, pauses between them, and the errors that end them.

Reasons of the client itself, without an answer of the endpoint: `unreachable` (no connection, or it broke), `deadline`
(no answer in time) and `bad_response` (an answer that is no score). Of local files: `missing_object`,
`access_denied`, `storage_error`, as in `viral.errors`.
"""

from __future__ import annotations

import email.utils
import json
import random
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus
from typing import Any

import httpx

from viral.errors import ConfigError, EndpointError

UNREACHABLE, DEADLINE, BAD_RESPONSE = "unreachable", "deadline", "bad_response"
BUSY = (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE)
FIRST_PAUSE, LONGEST_PAUSE = 0.25, 8.0  # seconds; a queue of two seconds drains between the first few, then doubling
CONNECT_SECONDS = 5.0  # a lost first packet is sent again after 1 and 3 s; then another try may meet another address
DETAIL_LENGTH = 300  # characters shown of a text that is no problem document: a proxy's page says what it is at once


class Attempts:
    """The attempts at one request, which all end `seconds` after the creation of this object."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.failures = 0
        self._end = time.monotonic() + seconds

    def remaining(self) -> float:
        """Seconds until the deadline.

        Raises:
            EndpointError: it has passed (`deadline`).
        """
        remaining = self._end - time.monotonic()
        if remaining <= 0:
            raise self.expired()
        return remaining

    def expired(self) -> EndpointError:
        """Return the error for a deadline that has passed."""
        return EndpointError(f"no answer within {self.seconds:g} seconds", reason=DEADLINE)

    def pause(self, error: EndpointError) -> float:
        """Return the seconds to wait after a failed attempt: exponential with jitter, and at least `Retry-After`.

        Raises:
            EndpointError: the error itself, if another attempt cannot help or would come after the deadline.
        """
        self.failures += 1
        if error.status not in BUSY and error.reason != UNREACHABLE:
            raise error
        # The exponent is bounded because a float overflows at 2 ** 1024; the longest pause is reached at the sixth
        # failure.
        backoff = min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** min(self.failures - 1, 10))
        pause = (error.retry_after or 0.0) + backoff * random.uniform(0.5, 1)  # noqa: S311 - jitter, no secret
        if pause >= self._end - time.monotonic():
            raise error
        return pause

    def timeouts(self) -> dict[str, float | None]:
        """Return httpx's timeouts of one attempt; each ends by the deadline, whenever its phase begins."""
        return _Timeouts(self)

    @contextmanager
    def translated(self) -> Iterator[None]:
        """Raise the errors of httpx as EndpointError."""
        try:
            yield
        # ConnectTimeout is not among them: CONNECT_SECONDS end before the deadline, and another attempt may succeed.
        except (httpx.ReadTimeout, httpx.WriteTimeout, httpx.PoolTimeout, TimeoutError) as error:
            raise self.expired() from error
        except httpx.TransportError as error:
            url = f"{error.request.url.scheme}://{error.request.url.netloc.decode('ascii')}"
            cause = one_line(str(error)) or type(error).__name__
            raise EndpointError(f"cannot reach {url}: {cause}", reason=UNREACHABLE) from error
        except httpx.DecodingError as error:
            raise EndpointError(one_line(str(error)), reason=BAD_RESPONSE) from error


class _Timeouts(dict[str, float | None]):
    """Timeouts that httpcore looks up (`get`) as it begins to connect, to write and to read."""

    def __init__(self, attempts: Attempts) -> None:
        super().__init__()
        self._attempts = attempts

    def get(self, key: str, default: Any = None) -> float:
        """Return the seconds until the deadline, or less for a connection."""
        remaining = self._attempts.remaining()
        return min(CONNECT_SECONDS, remaining) if key == "connect" else remaining


def check_seconds(seconds: float) -> float:
    """Return a time limit. Raises ConfigError unless it is above 0."""
    # `not >`, as NaN is neither above 0 nor at most 0
    if not seconds > 0:
        raise ConfigError(f"timeout is {seconds}: give seconds above 0")
    return seconds


def answer_error(response: httpx.Response, body: bytes) -> EndpointError:
    """Return the error of an answer: a problem document (RFC 9457), or the text of a proxy."""
    status = response.status_code
    try:
        phrase = HTTPStatus(status).name.lower()
    except ValueError:
        phrase = "error"
    problem = _problem(body)
    # A proxy may answer with a page of HTML, whose text is shown without its tags.
    text = problem.get("detail") or problem.get("title") or re.sub(rb"<[^>]*>", b" ", body).decode("utf-8", "replace")
    detail = one_line(str(text))[:DETAIL_LENGTH] or f"HTTP status {status} without a text"
    if response.has_redirect_location:
        detail = f"the endpoint redirects to {one_line(response.headers['location'])}: use that address"
    return EndpointError(
        detail, status=status, reason=str(problem.get("reason") or phrase), retry_after=_retry_after(response)
    )


def _problem(body: bytes) -> Mapping[str, Any]:
    try:
        values = json.loads(body)
    except ValueError:
        return {}
    return values if isinstance(values, dict) else {}


def _retry_after(response: httpx.Response) -> float | None:
    """Return the seconds of the `Retry-After` header, a number or a date; None without a valid one."""
    text = response.headers.get("retry-after", "").strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])  # nine digits: 30 years
    try:
        return max(0.0, email.utils.parsedate_to_datetime(text).timestamp() - time.time()) if text else None
    except ValueError:
        return None


def one_line(text: str) -> str:
    """Replace line breaks, control characters and runs of blanks by one blank."""
    return " ".join("".join(character if character.isprintable() else " " for character in text).split())
