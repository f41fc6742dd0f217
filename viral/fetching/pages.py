"""Reading of web pages with yt-dlp: the formats of a page's video, or the URLs that a feed lists.

yt-dlp only reads pages: `LimitedClient` sends all its requests, within the limits and to allowed hosts only.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any, cast

import httpx

from viral.errors import (
    AccessDeniedError,
    FetchError,
    NoVideoStreamError,
    PageError,
    PostError,
    TooLongError,
    UnsupportedCodecError,
)
from viral.fetching.body import ResponseBody
from viral.fetching.choices import UNPLAYABLE, Choice, choices
from viral.fetching.deadline import Deadline
from viral.fetching.http import LimitedClient, status_error
from viral.fetching.ydl import youtube_dl
from viral.storage.store import one_line

if TYPE_CHECKING:
    from http.cookiejar import CookieJar

MAX_FEED_URLS = 50_000  # bounds the memory: about 5 MB at 100 bytes per URL
MAX_HOPS = 5  # pages that refer to another page: more than real sites need, and a loop ends soon
_NO_FORMAT = "offers no video as a file, in HLS or in DASH that is not encrypted"
_TRANSFER_HEADERS = ("content-encoding", "content-length", "transfer-encoding")  # yt-dlp gets the decoded body


@dataclass(frozen=True)
class Page:
    """Page with one video: the formats to download, the best first, and yt-dlp's metadata."""

    choices: Sequence[Choice]
    info: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Feed:
    """Page that lists other pages: their URLs, at most MAX_FEED_URLS."""

    urls: tuple[str, ...]


class PageReader:
    """Reader of web pages with yt-dlp, one page at a time. Not thread-safe.

    Args:
        client: HTTP client that sends the requests.
        cookies: cookie jar of that client.
        max_seconds: duration limit; longer videos are an error.
    """

    def __init__(self, client: LimitedClient, cookies: CookieJar, max_seconds: float) -> None:
        self.client, self.max_seconds = client, max_seconds
        self._deadline, self._responses = Deadline(client.settings.seconds), list[httpx.Response]()
        self._ydl = youtube_dl(
            self._request,
            noplaylist=True,  # download the video of a page, not its playlist
            playlist_items="1",
            format="all",  # `choices` chooses
            extractor_retries=0,  # LimitedClient retries
            check_formats=False,  # that would send a request per format
        )
        self._ydl.cookiejar = cookies

    def close(self) -> None:
        """Close the responses that yt-dlp left open."""
        while self._responses:
            self._responses.pop().close()

    def supports(self, url: str) -> bool:
        """Whether yt-dlp has an extractor for the site of `url`."""
        return any(extractor.suitable(url) for key, extractor in self._ydl._ies.items() if key != "Generic")

    def read(self, url: str, deadline: Deadline) -> Page | Feed:
        """Read the page at `url`.

        Raises:
            PostError, FetchError: the page has no video, denies access, or does not respond.
        """
        self.close()
        self._deadline = deadline
        try:
            info = self._info(url)
            # A lazy list: only as many entries are read as are kept.
            if "entries" in info:
                urls = (_entry_url(entry) for entry in info["entries"] if entry)
                return Feed(tuple(islice((url for url in urls if url), MAX_FEED_URLS)))
            info = self._ydl.process_ie_result(info, download=False)
        except (PostError, FetchError):
            raise
        except Exception as error:  # extractors parse untrusted pages, and may raise anything
            raise _page_error(error, url) from error
        return _page(info, url, self.max_seconds)

    def _info(self, url: str) -> dict[str, Any]:
        info = self._extract(url, None)
        for _ in range(MAX_HOPS):
            if info.get("_type", "video") != "url":  # a video or a feed
                return info
            # Followed here, so that MAX_HOPS ends a loop.
            info = self._extract(info["url"], info.get("ie_key"))
        raise PageError(f"{url} leads through more than {MAX_HOPS} pages that refer to another page")

    def _extract(self, url: str, key: str | None) -> dict[str, Any]:
        key = key or next(name for name, extractor in self._ydl._ies.items() if extractor.suitable(url))
        info = self._ydl.extract_info(url, ie_key=key, download=False, process=False)
        if not info:
            raise PageError(f"{url}: yt-dlp found nothing")
        self._ydl.add_default_extra_info(info, self._ydl.get_info_extractor(key), url)
        return cast("dict[str, Any]", info)

    def _request(self, request: Any) -> Any:
        """Send a request of yt-dlp with the client, and raise errors of the types that yt-dlp expects."""
        from yt_dlp.networking.common import Response
        from yt_dlp.networking.exceptions import HTTPError, TransportError

        try:
            received = self.client.send(
                request.url,
                self._deadline,
                method=request.method,
                headers=dict(request.headers),
                content=request.data,
            )
        except (PostError, FetchError) as error:
            raise TransportError(cause=error) from error
        # yt-dlp does not close all of them; `close` does, before the next page.
        self._responses.append(received)
        headers = {name: value for name, value in received.headers.items() if name not in _TRANSFER_HEADERS}
        body = io.BufferedReader(ResponseBody(received, self._deadline))
        response = Response(body, str(received.url), headers, received.status_code)
        if received.status_code >= 400:  # yt-dlp expects an exception
            raise HTTPError(response)
        return response


def _entry_url(entry: Mapping[str, Any]) -> str | None:
    """URL of a feed entry: the page of its video, or the video file if one page has several videos."""
    if entry.get("_type") in ("url", "url_transparent"):
        return cast("str | None", entry.get("url"))
    formats = entry.get("formats") or [{}]
    return cast("str | None", entry.get("url") or formats[-1].get("url") or entry.get("webpage_url"))


def _page(info: Mapping[str, Any], url: str, max_seconds: float) -> Page:
    if info.get("is_live"):  # its download would not end
        raise NoVideoStreamError(f"{url} is a live stream: fetch it after its end")
    if (info.get("duration") or 0) > max_seconds:
        raise TooLongError(f"{url} lasts {info['duration']:.0f} s, more than media.max_seconds = {max_seconds:g}")
    formats = choices(info.get("formats") or [info])
    if not formats and UNPLAYABLE in (fmt.get("vcodec") for fmt in info.get("formats") or [info]):
        raise UnsupportedCodecError(f"{url} offers its video only in {UNPLAYABLE}, for which there is no decoder")
    if not formats:
        raise NoVideoStreamError(f"{url} {_NO_FORMAT}")
    return Page(formats, info)


def _page_error(error: Exception, url: str) -> PostError | FetchError:
    from yt_dlp.networking.exceptions import HTTPError
    from yt_dlp.utils import GeoRestrictedError, UnsupportedError

    # An error with a type says more than its text: texts, which change with the version, are the last resort.
    for cause in _causes(error):
        if isinstance(cause, PostError | FetchError):
            return cause
        if isinstance(cause, HTTPError):
            return status_error(cause.status, url)
        if isinstance(cause, UnsupportedError):
            return NoVideoStreamError(f"yt-dlp found no video at {url}")
        if isinstance(cause, GeoRestrictedError):
            return AccessDeniedError(f"{url}: {_message(cause)}")
    message = _message(error)
    if "Requested format is not available" in message or "No video formats found" in message:
        return NoVideoStreamError(f"{url} {_NO_FORMAT}")
    return AccessDeniedError(f"{url}: {message}") if "--cookies" in message else PageError(f"{url}: {message}")


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and its causes, as Python and yt-dlp (`exc_info`, `cause`) record them."""
    pending: list[object] = [error]
    seen: set[int] = set()
    while pending:
        cause = pending.pop(0)
        if isinstance(cause, BaseException) and id(cause) not in seen:
            seen.add(id(cause))
            yield cause
            pending += [*(getattr(cause, "exc_info", None) or ())[1:2], getattr(cause, "cause", None)]
            pending += [cause.__cause__, cause.__context__]


def _message(error: BaseException) -> str:
    return one_line(error).removeprefix("ERROR: ").partition("; please report this issue")[0]
