"""HTTP within limits: allowed hosts only, at their pace, tried again where that helps, never longer than allowed."""

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
from viral.fetching.deadline import Clock
from viral.fetching.hosts import Hosts
from viral.fetching.rate_limit import Pacer
from viral.storage.store import one_line

REDIRECTS = 10
_PASSING = {408, 425, 429, 500, 502, 503, 504}
_MISSING, _DENIED = {404, 410}, {401, 402, 403, 407, 451}
_LONGEST_PAUSE = 60.0  # between attempts, where the host does not say


class Web:
    """A client for allowed hosts. Threads may share it. Close it.

    Args:
        hosts: those that may be asked, by redirects too.
        settings: attempts and times.
        pacer: gives the turns.
        cookies: sent where they belong; what hosts set is added.
    """

    def __init__(self, hosts: Hosts, settings: FetchSettings, pacer: Pacer, cookies: CookieJar | None = None) -> None:
        self.hosts, self.settings, self.pacer = hosts, settings, pacer
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
        clock: Clock,
        *,
        method: str = "GET",
        headers: Mapping[str, str] | None = None,
        content: bytes | None = None,
    ) -> httpx.Response:
        """The answer, its body unread, whatever its status; a passing failure was tried again before. Close it.

        Raises:
            BadAddressError, HostNotAllowedError: the address, or what it leads to.
            ReadError, TimedOutError, RateLimitedError: no answer.
        """
        self.hosts.site(url)
        for attempt in range(1, self.settings.attempts + 1):
            request = self._client.build_request(method, url, headers=headers, content=content)
            last = attempt == self.settings.attempts
            try:
                response = self._follow(request, clock)
            except httpx.TransportError as error:
                if last:
                    raise failure_of(error, url) from error
                self.pause(clock, attempt, url)
                continue
            if response.status_code not in _PASSING or last:
                return response
            response.close()
            self._hold(response, clock, attempt)
        raise AssertionError("unreachable: the last attempt returns or raises")

    def pause(self, clock: Clock, attempt: int, url: str) -> None:
        """Wait before the attempt after `attempt`: twice as long each time, with jitter.

        Raises:
            TimedOutError: there is less time left than that.
        """
        seconds = min(_LONGEST_PAUSE, self.settings.backoff_seconds * 2 ** (attempt - 1)) * random.uniform(0.5, 1.0)  # noqa: S311 - a pause
        if clock.left() <= seconds:
            raise TimedOutError(f"{url} keeps failing: gave up near fetch.seconds = {clock.seconds:g}")
        time.sleep(seconds)

    def _follow(self, request: httpx.Request, clock: Clock) -> httpx.Response:
        for _ in range(REDIRECTS + 1):
            site = self.hosts.site(str(request.url))
            clock.wait_turn(self.pacer.reserve(site))
            seconds = min(self.settings.stall_seconds, clock.left())
            request.extensions = {**request.extensions, "timeout": httpx.Timeout(seconds).as_dict()}
            response = self._client.send(request, stream=True)
            if response.next_request is None:
                return response
            response.close()
            request = response.next_request
        raise BadAddressError(f"{request.url} redirects more than {REDIRECTS} times")

    def _hold(self, response: httpx.Response, clock: Clock, attempt: int) -> None:
        """Wait as long as the host asks for, with all that ask it; else as `pause` does."""
        asked = retry_after(response)
        if asked is None:
            self.pause(clock, attempt, str(response.url))
            return
        if asked >= clock.left():
            raise RateLimitedError(f"{response.url} answers {response.status_code} and asks to wait {asked:.0f} s")
        self.pacer.pause(self.hosts.site(str(response.url)), asked)
        time.sleep(asked)


def retry_after(response: httpx.Response) -> float | None:
    """The seconds that `Retry-After` asks for, given as such or as a date; None where it asks for none."""
    text = response.headers.get("retry-after", "").strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        return max(0.0, email.utils.parsedate_to_datetime(text).timestamp() - time.time()) if text else None
    except ValueError:
        return None


def check_status(response: httpx.Response) -> None:
    """Raise what a status other than 200 means.

    Raises:
        MissingObjectError, AccessDeniedError, RateLimitedError, ReadError: see there.
    """
    if response.status_code != 200:
        raise of_status(response.status_code, str(response.url))


def of_status(status: int, url: str) -> PostError | FetchError:
    """The failure that an HTTP status means."""
    said = f"{url} answers {status}"
    if status in _MISSING:
        return MissingObjectError(said)
    if status in _DENIED:
        return AccessDeniedError(said)
    return RateLimitedError(said) if status == 429 else ReadError(said)


def failure_of(error: httpx.RequestError, url: str) -> PostError | FetchError:
    """The failure that a broken connection means."""
    if isinstance(error, httpx.UnsupportedProtocol):
        return BadAddressError(one_line(error))
    if isinstance(error, httpx.TimeoutException):
        return TimedOutError(f"{url} falls silent")
    return ReadError(f"{url}: {one_line(error)}")
