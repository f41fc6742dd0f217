"""HTTP client with allowed hosts, a rate limit per site, retries of transient failures, and a deadline per URL."""

from __future__ import annotations

import email.utils
import random
import time
from collections.abc import Mapping
from http.cookiejar import CookieJar
from types import TracebackType
from typing import Self

import httpx

from viral.config import FetchSettings
from viral.errors import (
    AccessDeniedError,
    BadAddressError,
    FetchError,
    MissingObjectError,
    PostError,
    RateLimitedError,
    ReadError,
    TimedOutError,
)
from viral.fetching.deadline import Deadline
from viral.fetching.hosts import AllowedHosts
from viral.fetching.rate_limit import RateLimiter
from viral.storage.store import one_line

MAX_REDIRECTS = 10  # real chains are shorter; browsers follow 20
_TRANSIENT = {408, 425, 429, 500, 502, 503, 504}  # timeouts, overload and gateway errors
_MISSING, _DENIED = {404, 410}, {401, 402, 403, 407, 451}  # RFC 9110, and 451 of RFC 7725
_MAX_BACKOFF_SECONDS = 60.0  # longer waits would use up most of fetch.seconds


class LimitedClient:
    """HTTP client for allowed hosts. Thread-safe; use it as a context manager.

    Args:
        hosts: allowed hosts of URLs and of redirects.
        settings: number of attempts and time limits.
        rate_limiter: schedules the requests.
        cookies: cookie jar for requests and responses.
    """

    def __init__(
        self, hosts: AllowedHosts, settings: FetchSettings, rate_limiter: RateLimiter, cookies: CookieJar | None = None
    ) -> None:
        self.hosts, self.settings, self.rate_limiter = hosts, settings, rate_limiter
        # Like a browser, because many sites refuse unknown clients.
        self._client = httpx.Client(cookies=cookies, headers={"User-Agent": "Mozilla/5.0"})

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()

    def send(
        self,
        url: str,
        deadline: Deadline,
        *,
        method: str = "GET",
        headers: Mapping[str, str] | None = None,
        content: bytes | None = None,
    ) -> httpx.Response:
        """Send a request, retry transient failures, and return the unread response of any status. The caller closes it.

        Raises:
            BadAddressError, HostNotAllowedError: the URL or the target of a redirect is invalid or not allowed.
            ReadError, TimedOutError, RateLimitedError: there is no response.
        """
        self.hosts.site(url)  # raises before any attempt
        # Each attempt takes its own turn at the rate limiter: retries are requests, too.
        for attempt in range(1, self.settings.attempts + 1):
            request = self._client.build_request(method, url, headers=headers, content=content)
            last = attempt == self.settings.attempts
            try:
                response = self._follow_redirects(request, deadline)
            except httpx.TransportError as error:
                if last:
                    raise connection_error(error, url) from error
                self.backoff(deadline, attempt, url)
                continue
            if response.status_code not in _TRANSIENT or last:  # the caller maps the status to an error
                return response
            response.close()
            self._wait_to_retry(response, deadline, attempt)
        raise AssertionError("unreachable: the last attempt returns or raises")

    def backoff(self, deadline: Deadline, attempt: int, url: str) -> None:
        """Sleep before the next attempt: exponential backoff with jitter.

        Raises:
            TimedOutError: the deadline would pass.
        """
        jitter = random.uniform(0.5, 1.0)  # noqa: S311 - spreads clients that failed at the same time
        seconds = min(_MAX_BACKOFF_SECONDS, self.settings.backoff_seconds * 2 ** (attempt - 1)) * jitter
        if deadline.remaining() <= seconds:
            raise TimedOutError(
                f"{url} keeps failing: gave up, because fetch.seconds = {deadline.seconds:g} are nearly over"
            )
        time.sleep(seconds)

    def _follow_redirects(self, request: httpx.Request, deadline: Deadline) -> httpx.Response:
        for _ in range(MAX_REDIRECTS + 1):  # not by httpx: each request needs an allowed host and its turn
            # The target of a redirect must be allowed, too, and takes a turn of its own site.
            site = self.hosts.site(str(request.url))
            deadline.sleep_extended(self.rate_limiter.reserve(site))
            seconds = min(self.settings.stall_seconds, deadline.remaining())
            # The limit for a connection that stalls; a response that keeps coming may take until the deadline.
            request.extensions = {**request.extensions, "timeout": httpx.Timeout(seconds).as_dict()}
            response = self._client.send(request, stream=True)
            if response.next_request is None:
                return response
            response.close()
            request = response.next_request
        raise BadAddressError(f"{request.url} redirects more than {MAX_REDIRECTS} times")

    def _wait_to_retry(self, response: httpx.Response, deadline: Deadline, attempt: int) -> None:
        """Pause the site for all clients and sleep for the seconds of `Retry-After`; without that header, back off."""
        seconds = retry_after(response)
        if seconds is None:
            self.backoff(deadline, attempt, str(response.url))
            return
        # Waiting would use up the deadline: give the URL up now, and fetch it with --retry-failed.
        if seconds >= deadline.remaining():
            raise RateLimitedError(f"{response.url} answers {response.status_code} and asks to wait {seconds:.0f} s")
        self.rate_limiter.pause(self.hosts.site(str(response.url)), seconds)
        time.sleep(seconds)


def retry_after(response: httpx.Response) -> float | None:
    """Seconds of the `Retry-After` header, which may be a number or a date; None without a valid one."""
    text = response.headers.get("retry-after", "").strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])  # nine digits: 30 years
    try:
        return max(0.0, email.utils.parsedate_to_datetime(text).timestamp() - time.time()) if text else None
    except ValueError:
        return None


def check_status(response: httpx.Response) -> None:
    """Raise `status_error` unless the status is 200."""
    if response.status_code != 200:
        raise status_error(response.status_code, str(response.url))


def status_error(status: int, url: str) -> PostError | FetchError:
    """Map an HTTP error status to an error."""
    message = f"{url} answers {status}"
    if status in _MISSING:
        return MissingObjectError(message)
    if status in _DENIED:
        return AccessDeniedError(message)
    return RateLimitedError(message) if status == 429 else ReadError(message)


def connection_error(error: httpx.RequestError, url: str) -> PostError | FetchError:
    """Map a failed or broken connection to an error."""
    if isinstance(error, httpx.UnsupportedProtocol):
        return BadAddressError(one_line(error))
    if isinstance(error, httpx.TimeoutException):
        return TimedOutError(f"{url} stopped responding")
    return ReadError(f"{url}: {one_line(error)}")
