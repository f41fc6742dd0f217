"""The feed of TikTokApi: what it says without the package or its browser, and the real package in a real Chromium.

A site of this machine stands for TikTok: it answers the requests that the package makes, so that what is tested is the
way from an answer to posts or to a clear error. What TikTok itself answers is not.
"""

from __future__ import annotations

import json
import ssl
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.monitor.tsa import openssl
from viral.config import MonitorSettings, Settings
from viral.errors import ConfigError, PageError
from viral.fetching.hosts import AllowedHosts
from viral.fetching.rate_limit import TokenBuckets
from viral.monitor.feeds.feed import PostFeed, open_feed
from viral.monitor.feeds.web import WebAccess

CHROMIUM = Path("/usr/bin/chromium")
POST = {
    "id": "7301234567890123456",
    "desc": "wait for it #dance",
    "createTime": 1700000000,
    "stats": {"playCount": 5},
    "author": {"id": "1", "uniqueId": "anna", "secUid": "x"},
}
PAGE = b"""<html><img src="/pixel"><script>
window.byted_acrawler = {frontierSign: (url) => ({"X-Bogus": "x"})}
</script></html>"""


def opened(location: str, *, browser: Path | None = None, hosts: tuple[str, ...] = ("tiktok.com",)) -> PostFeed:
    settings = Settings(monitor=MonitorSettings(browser=browser))
    return open_feed(f"tiktokapi:{location}", WebAccess(AllowedHosts(hosts), settings, TokenBuckets(1000)))


def test_what_is_missing_is_said_before_the_watch_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    for location in ("dance", "hashtag/", "video/1"):
        with pytest.raises(ConfigError, match="write hashtag/NAME, user/NAME, sound/ID or trending"):
            opened(location)
    with pytest.raises(ConfigError, match="to accept its terms of use, add --allow-host"):
        opened("trending", hosts=())
    monkeypatch.setitem(sys.modules, "TikTokApi", None)  # as if it were not installed
    with pytest.raises(ConfigError, match=r"pip install 'viral\[tiktok\]'"):
        opened("trending")


class TikTok(BaseHTTPRequestHandler):
    """The pages and lists that the package asks for; `answers` are those of lists."""

    answers: tuple[bytes, ...] = ()

    def do_GET(self) -> None:
        body = PAGE
        if self.path.startswith("/api/challenge/detail"):
            body = json.dumps(
                {"status_code": 0, "challengeInfo": {"challenge": {"id": "9", "title": "dance"}}}
            ).encode()
        elif self.path.startswith("/api/"):
            body = self.answers[0]
        self.send_response(200)
        self.send_header("Content-Type", "application/json" if self.path.startswith("/api/") else "text/html")
        self.send_header("Set-Cookie", "msToken=x; path=/")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Path]:
    """A Chromium for which this machine is TikTok."""
    pytest.importorskip("TikTokApi")
    if not CHROMIUM.exists():
        pytest.skip(f"there is no Chromium at {CHROMIUM}: apt install chromium")
    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "key.pem", "-out", "cert.pem")
    openssl(tmp_path, "req", "-x509", *key, "-subj", "/CN=www.tiktok.com")
    server = ThreadingHTTPServer(("127.0.0.1", 0), TikTok)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    script = tmp_path / "chromium"
    mapped = f"MAP * 127.0.0.1:{server.server_port}"
    script.write_text(
        f'#!/bin/sh\nexec {CHROMIUM} --no-sandbox --ignore-certificate-errors --host-resolver-rules="{mapped}" "$@"\n'
    )
    script.chmod(0o755)
    yield script
    server.shutdown()
    server.server_close()


def test_answers_become_posts_or_errors(browser: Path) -> None:
    feed = opened("hashtag/dance", browser=browser)
    TikTok.answers = (json.dumps({"status_code": 0, "itemList": [POST], "hasMore": False}).encode(),)
    (item,) = feed.poll()
    assert (item.post_id, item.url) == (POST["id"], f"https://www.tiktok.com/@anna/video/{POST['id']}")
    assert item.post["desc"] == POST["desc"] and item.page_url == item.url
    TikTok.answers = (json.dumps({"status_code": 0, "itemList": [], "hasMore": False}).encode(),)
    assert feed.poll() == [], "nothing there: the watch raises its alarm if it stays so"
    for answer, message in (
        (b"", "EmptyResponseException"),
        (json.dumps({"status_code": 10101, "status_msg": "verify"}).encode(), "refuses with status 10101: verify"),
    ):
        TikTok.answers = (answer,)
        with pytest.raises(PageError, match=message) as error:
            feed.poll()
        assert "\n" not in str(error.value)


def test_a_missing_browser_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("TikTokApi")
    with pytest.raises(ConfigError, match=r"there is no browser .*none \(monitor.browser\): run `playwright install"):
        opened("trending", browser=tmp_path / "none")
    monkeypatch.setenv("PLAYWRIGHT_BROWSERS_PATH", str(tmp_path))
    with pytest.raises(ConfigError, match=r"need a browser, and there is none at .*VIRAL_MONITOR__BROWSER"):
        opened("user/anna")


def test_a_browser_that_does_not_start_is_one_line(tmp_path: Path) -> None:
    pytest.importorskip("TikTokApi")
    broken = tmp_path / "broken"
    broken.write_text("#!/bin/sh\nexit 1\n")
    broken.chmod(0o755)
    with pytest.raises(PageError, match="TikTok gives no list of trending") as error:
        opened("trending", browser=broken).poll()
    assert "\n" not in str(error.value) and len(str(error.value)) < 400
