"""What yt-dlp makes of a page: the address of its video, or a feed of further addresses.

yt-dlp only reads pages here. Each of its requests goes through `Web`, so limits, turns and allowed hosts hold for it
too, and the video itself is fetched as any other file. So only videos that a site offers as one file with sound can be
had: no HLS or DASH, whose parts ffmpeg would have to join.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any, cast

import httpx

from viral.errors import AccessDeniedError, FetchError, NoVideoStreamError, PageError, PostError, TooLongError
from viral.fetching.body import Body
from viral.fetching.deadline import Clock
from viral.fetching.http import Web, of_status
from viral.storage.store import one_line

if TYPE_CHECKING:
    from http.cookiejar import CookieJar

    from yt_dlp import YoutubeDL

LONGEST_FEED = 50_000  # addresses, held in memory
HOPS = 5  # addresses that stand for others, one after the other
_OF_TRANSFER = ("content-encoding", "content-length", "transfer-encoding")  # the body is given without them
_ONE_FILE = "b[protocol=https]/b[protocol=http]"


@dataclass(frozen=True)
class Page:
    """A page with one video."""

    media_url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    info: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Feed:
    """A page that lists others: the first LONGEST_FEED of them."""

    urls: tuple[str, ...]


class Pages:
    """Reads pages, of one address after the other. Not for several threads at once.

    Args:
        web: makes the requests.
        cookies: of the same jar as the web's.
        max_seconds: longest video.
    """

    def __init__(self, web: Web, cookies: CookieJar, max_seconds: float) -> None:
        self.web, self.max_seconds = web, max_seconds
        self._clock, self._open = Clock(web.settings.seconds), list[httpx.Response]()
        self._ydl = _reader(self._request, cookies)

    def close(self) -> None:
        """End what yt-dlp left open of the last address."""
        while self._open:
            self._open.pop().close()

    def knows(self, url: str) -> bool:
        """Whether an extractor of yt-dlp is made for that site."""
        return any(kind.suitable(url) for key, kind in self._ydl._ies.items() if key != "Generic")

    def read(self, url: str, clock: Clock) -> Page | Feed:
        """What is at `url`.

        Raises:
            PostError, FetchError: no video, no access, no answer.
        """
        self.close()
        self._clock = clock
        try:
            info = self._info(url)
            if "entries" in info:
                return Feed(tuple(islice(_addresses(info["entries"]), LONGEST_FEED)))
            info = self._ydl.process_ie_result(info, download=False)
        except (PostError, FetchError):
            raise
        except Exception as error:  # an extractor takes apart what strangers wrote: it may raise anything
            raise _failure(error, url) from error
        return _page(info, url, self.max_seconds)

    def _info(self, url: str) -> dict[str, Any]:
        info = self._extract(url, None)
        for _ in range(HOPS):
            if info.get("_type", "video") != "url":
                return info
            info = self._extract(info["url"], info.get("ie_key"))
        raise PageError(f"{url} stands for an address that stands for another, and so on, more than {HOPS} times")

    def _extract(self, url: str, key: str | None) -> dict[str, Any]:
        key = key or next(name for name, kind in self._ydl._ies.items() if kind.suitable(url))
        info = self._ydl.extract_info(url, ie_key=key, download=False, process=False)
        if not info:
            raise PageError(f"{url}: yt-dlp finds nothing there")
        self._ydl.add_default_extra_info(info, self._ydl.get_info_extractor(key), url)
        return cast("dict[str, Any]", info)

    def _request(self, request: Any) -> Any:
        """Answer a request of yt-dlp's; it expects its own errors."""
        from yt_dlp.networking.common import Response
        from yt_dlp.networking.exceptions import HTTPError, TransportError

        try:
            answer = self.web.send(
                request.url,
                self._clock,
                method=request.method,
                headers=dict(request.headers),
                content=request.data,
            )
        except (PostError, FetchError) as error:
            raise TransportError(cause=error) from error
        self._open.append(answer)
        headers = {name: value for name, value in answer.headers.items() if name not in _OF_TRANSFER}
        body = io.BufferedReader(Body(answer, self._clock))
        response = Response(body, str(answer.url), headers, answer.status_code)
        if answer.status_code >= 400:
            raise HTTPError(response)
        return response


def _reader(send: Any, cookies: CookieJar) -> YoutubeDL:
    from yt_dlp import YoutubeDL
    from yt_dlp.networking.common import Request

    class Reader(YoutubeDL):  # type: ignore[misc]  # it has no annotations
        """yt-dlp, all of whose requests are ours to make."""

        def urlopen(self, req: Any) -> Any:
            request = Request(req) if isinstance(req, str) else req
            merged = Request(
                request.url, request.data, {**self.params["http_headers"], **request.headers}, method=request.method
            )
            return send(merged)

    reader = Reader(
        {
            "quiet": True,
            "no_warnings": True,
            "logger": _Silence(),
            "cachedir": False,
            "noplaylist": True,
            "playlist_items": "1",
            "format": _ONE_FILE,
            "extractor_retries": 0,
            "allow_unplayable_formats": False,
            "check_formats": False,
        }
    )
    reader.cookiejar = cookies
    return reader


class _Silence:
    """What yt-dlp would print comes as an error, or does not matter."""

    def debug(self, message: str) -> None: ...

    def info(self, message: str) -> None: ...

    def warning(self, message: str) -> None: ...

    def error(self, message: str) -> None: ...


def _addresses(entries: Iterable[Mapping[str, Any] | None]) -> Iterator[str]:
    for entry in entries:
        if entry and (url := _address(entry)):
            yield url


def _address(entry: Mapping[str, Any]) -> str | None:
    """Where an entry of a feed is: its page, or, of several videos on one page, the file itself."""
    if entry.get("_type") in ("url", "url_transparent"):
        return cast("str | None", entry.get("url"))
    formats = entry.get("formats") or [{}]
    return cast("str | None", entry.get("url") or formats[-1].get("url") or entry.get("webpage_url"))


def _page(info: Mapping[str, Any], url: str, max_seconds: float) -> Page:
    if info.get("is_live"):
        raise NoVideoStreamError(f"{url} is live: fetch it when it is over")
    if (info.get("duration") or 0) > max_seconds:
        raise TooLongError(f"{url} lasts {info['duration']:.0f} s, more than media.max_seconds = {max_seconds:g}")
    if not info.get("url"):
        raise NoVideoStreamError(f"{url} offers no video as one file")
    headers = {name: value for name, value in (info.get("http_headers") or {}).items() if str(value).isascii()}
    return Page(str(info["url"]), headers, info)


def _failure(error: Exception, url: str) -> PostError | FetchError:
    from yt_dlp.networking.exceptions import HTTPError
    from yt_dlp.utils import GeoRestrictedError, UnsupportedError

    for cause in _causes(error):
        if isinstance(cause, PostError | FetchError):
            return cause
        if isinstance(cause, HTTPError):
            return of_status(cause.status, url)
        if isinstance(cause, UnsupportedError):
            return NoVideoStreamError(f"there is no video at {url} that yt-dlp finds")
        if isinstance(cause, GeoRestrictedError):
            return AccessDeniedError(f"{url}: {_words(cause)}")
    words = _words(error)
    if "Requested format is not available" in words or "No video formats found" in words:
        return NoVideoStreamError(f"{url} offers no video as one file")
    return AccessDeniedError(f"{url}: {words}") if "--cookies" in words else PageError(f"{url}: {words}")


def _causes(error: BaseException) -> Iterator[BaseException]:
    """An error and all that it says it comes of, in Python's way and in yt-dlp's two."""
    waiting: list[object] = [error]
    seen: set[int] = set()
    while waiting:
        cause = waiting.pop(0)
        if isinstance(cause, BaseException) and id(cause) not in seen:
            seen.add(id(cause))
            yield cause
            waiting += [*(getattr(cause, "exc_info", None) or ())[1:2], getattr(cause, "cause", None)]
            waiting += [cause.__cause__, cause.__context__]


def _words(error: BaseException) -> str:
    return one_line(error).removeprefix("ERROR: ").partition("; please report this issue")[0]
