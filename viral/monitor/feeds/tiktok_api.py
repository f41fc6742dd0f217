"""Feed of TikTok's own lists (hashtag, user, sound, trending) through the package TikTokApi, which drives a browser.

The package would disguise the browser; here it opens the page as it is. Where TikTok refuses that, the feed fails.
"""

from __future__ import annotations

import asyncio
import logging
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from viral.errors import ConfigError, HostNotAllowedError, PageError
from viral.monitor.feeds.feed import FeedItem
from viral.monitor.feeds.web import WebAccess
from viral.storage.store import one_line

if TYPE_CHECKING:
    from playwright.async_api import BrowserContext, Page
    from TikTokApi import TikTokApi

SITE = "https://www.tiktok.com"
_KINDS = ("hashtag", "user", "sound")
_TRENDING = "trending"
_COUNT = 30  # posts per poll: one page of TikTok's lists
_OK = (0, "0", None)  # values of an answer's status


class TikTokApiFeed:
    """Newest posts of `hashtag/NAME`, `user/NAME` or `sound/ID`, or of `trending`.

    Raises:
        ConfigError: the location is none of these, TikTok is no allowed host, or the package or its browser is missing.
    """

    def __init__(self, location: str, web: WebAccess) -> None:
        self.location, self._web = location, web
        self._kind, _, self._value = location.partition("/")
        if location != _TRENDING and (self._kind not in _KINDS or not self._value):
            raise ConfigError(f"tiktokapi:{location} is no list: write hashtag/NAME, user/NAME, sound/ID or trending")
        try:
            self._site = web.hosts.site(SITE)
        except HostNotAllowedError as error:
            raise ConfigError(one_line(error)) from error
        self._browser = _find_browser(web.settings.monitor.browser)

    def poll(self) -> list[FeedItem]:
        """List the newest posts. Raises PageError: there is no valid answer."""
        time.sleep(self._web.rate_limiter.reserve(self._site))
        limit = self._web.settings.fetch.seconds
        try:
            return asyncio.run(asyncio.wait_for(self._listed(), limit))
        except TimeoutError as error:
            raise PageError(f"TikTok gave no list of {self.location} within fetch.seconds = {limit:g}") from error
        except PageError:
            raise
        except Exception as error:  # the package raises Exception itself, its browser's errors, and those of parsing
            text = one_line(error)[:200]
            raise PageError(
                f"TikTok gives no list of {self.location}, blocked?: {type(error).__name__}: {text}"
            ) from error

    async def _listed(self) -> list[FeedItem]:
        from TikTokApi import TikTokApi

        # Its own log would repeat each error, over several lines.
        async with TikTokApi(logging_level=logging.CRITICAL + 1) as api:
            await api.create_sessions(
                num_sessions=1,
                starting_url=SITE,
                executable_path=self._browser,
                page_factory=_open_page,
                enable_session_recovery=False,  # a session that TikTok ends is not replaced by another one
            )
            for session in api.sessions:
                session.headers = {}  # the browser's own; the package copies those of any request, or finds none
            _check_answers(api)
            videos = self._list_of(api).videos(count=_COUNT)
            return [_item(video) async for video in videos]

    def _list_of(self, api: TikTokApi) -> Any:
        if self._kind == "hashtag":
            return api.hashtag(name=self._value)
        if self._kind == "user":
            return api.user(username=self._value)
        return api.sound(id=self._value) if self._kind == "sound" else api.trending


async def _open_page(context: BrowserContext) -> Page:
    page = await context.new_page()
    await page.goto(SITE)
    return page


def _check_answers(api: TikTokApi) -> None:
    """Let a refusal be an error: the package takes any answer without posts for an empty list."""
    request = api.make_request

    async def checked(*arguments: Any, **named: Any) -> Any:
        answer = await request(*arguments, **named)
        status = next((answer[name] for name in ("statusCode", "status_code") if name in answer), None)
        if status not in _OK:
            message = answer.get("statusMsg") or answer.get("status_msg") or "no message"
            raise PageError(f"TikTok refuses with status {status}: {message}")
        return answer

    api.make_request = checked


def _item(video: Any) -> FeedItem:
    post = dict(video.as_dict)
    author = post.get("author")
    name = author.get("uniqueId") if isinstance(author, dict) else author
    url = f"{SITE}/@{name or ''}/video/{video.id}"
    return FeedItem(str(video.id), url, post={**post, "webpage_url": url})


def _find_browser(setting: Path | None) -> str | None:
    """Path of the browser that was set; None for Playwright's own. Raises ConfigError: it or the package is missing."""
    try:
        import TikTokApi  # noqa: F401 - a missing package shows before the watch begins
        from playwright.sync_api import sync_playwright
    except ImportError as error:
        raise ConfigError("TikTokApi feeds need the package TikTokApi: pip install 'viral[tiktok]'") from error
    fix = "run `playwright install chromium`, or name one in VIRAL_MONITOR__BROWSER"
    if setting is not None:
        if not setting.is_file():
            raise ConfigError(f"there is no browser {setting} (monitor.browser): {fix}")
        return str(setting)
    with sync_playwright() as playwright:
        path = playwright.chromium.executable_path
    if not Path(path).is_file():
        raise ConfigError(f"TikTokApi feeds need a browser, and there is none at {path}: {fix}")
    return None
