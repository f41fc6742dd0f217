"""Access of feeds to the web: allowed hosts only, within the limits of `viral fetch`."""

from __future__ import annotations

import io

from viral.config import Settings
from viral.fetching.body import ResponseBody
from viral.fetching.cookies import cookie_jar
from viral.fetching.deadline import Deadline
from viral.fetching.hosts import AllowedHosts
from viral.fetching.http import LimitedClient, check_status
from viral.fetching.pages import Feed as ListedPages
from viral.fetching.pages import PageReader
from viral.fetching.rate_limit import RateLimiter


class WebAccess:
    """Reads pages and documents; call `close` at the end. Each host must be allowed: its terms are the user's concern.

    Args:
        hosts: allowed hosts.
        settings: limits, from the sections `media` and `fetch`.
        rate_limiter: schedules the requests.
    """

    def __init__(self, hosts: AllowedHosts, settings: Settings, rate_limiter: RateLimiter) -> None:
        self.hosts, self.settings, self.rate_limiter = hosts, settings, rate_limiter
        self._cookies = cookie_jar(None)
        self._client = LimitedClient(hosts, settings.fetch, rate_limiter, self._cookies)

    def close(self) -> None:
        """Close the connections."""
        with self._client:
            pass

    def get(self, url: str) -> bytes:
        """Read a document of at most `MAX_PAGE_BYTES`. Raises FetchError, PostError."""
        deadline = Deadline(self.settings.fetch.seconds)
        response = self._client.send(url, deadline)
        try:
            check_status(response)
            with io.BufferedReader(ResponseBody(response, deadline)) as body:
                return body.read()
        finally:
            response.close()

    def listed_urls(self, url: str) -> tuple[str, ...]:
        """List the posts of a playlist, channel or tag through yt-dlp. Raises FetchError, PostError."""
        reader = PageReader(self._client, self._cookies, self.settings.media.max_seconds)
        try:
            page = reader.read(url, Deadline(self.settings.fetch.seconds))
        finally:
            reader.close()
        return page.urls if isinstance(page, ListedPages) else (url,)
