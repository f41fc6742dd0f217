"""Single URLs of a website, well-behaved or not, into a folder and an S3 root."""

from __future__ import annotations

import hashlib
import json
import time
from pathlib import Path

import pytest

from tests.fetching.renditions import write
from viral.fetching.fetch import FEED, FetchTask
from viral.storage.store import Store
from viral.tables.schemas import FETCHES


def test_a_file_under_its_sha256_whatever_the_server_calls_it(fetcher, website, any_store):
    result = fetcher(store=any_store).fetch(FetchTask(website("video/evil.exe"), "127.0.0.1", "p1", 2))
    data = any_store.read(result.video_uri)
    assert result.sha256 == hashlib.sha256(data).hexdigest()
    assert result.video_uri == f"videos/{result.sha256}.mp4"
    assert (result.status, result.bytes, result.attempts, result.post_id) == ("done", 20_000, 3, "p1")
    [key] = [info.key for info in any_store.objects("videos") if info.key.endswith(".info.json")]
    info = json.loads(any_store.read(key))
    assert (info["id"], info["webpage_url"], info["ext"]) == ("p1", website("video/evil.exe"), "mp4")
    assert info["video_file"] == result.video_uri.removeprefix("videos/")


def test_one_content_under_two_addresses_is_there_once(fetcher, website, any_store):
    local = fetcher(store=any_store)
    first, second = (local.fetch(FetchTask(website(f"video/{name}?same=x"), "127.0.0.1")) for name in "ab")
    assert first.video_uri == second.video_uri
    keys = [info.key for info in any_store.objects("videos")]
    assert sorted(key.rpartition(".")[2] for key in keys) == ["json", "json", "mp4"]


@pytest.mark.parametrize(
    ("path", "reason", "detail", "requests"),
    [
        ("status/404", "missing_object", "answers 404", 1),
        ("status/410", "missing_object", "answers 410", 1),
        ("status/401", "access_denied", "answers 401", 1),
        ("status/403", "access_denied", "answers 403", 1),
        ("status/500", "storage_error", "answers 500", 3),
        ("status/503", "storage_error", "answers 503", 3),
        ("status/429", "rate_limited", "answers 429", 3),
        ("status/429?after=3600", "rate_limited", "asks to wait 3600 s", 1),
        ("status/304", "storage_error", "answers 304", 1),
        ("truncated", "storage_error", "without sending complete message body", 3),
        ("video/large?size=100001", "too_large", "has 100001 bytes", 1),
        ("video/large?size=100001&close=1", "too_large", "stopped reading there", 1),
        ("silent", "timed_out", "stopped responding", 3),
        ("drip", "timed_out", "fetch.seconds = 2", 1),
        ("empty", "unreadable", "is empty", 1),
        ("redirect?to=/status/404", "missing_object", "status/404 answers 404", 1),
        ("circle", "bad_address", "redirects more than 10 times", 11),
        ("redirect?to=ftp://127.0.0.1/x", "bad_address", "not an http", 1),
        ("redirect?to=http://127.0.0.2/x", "host_not_allowed", "--allow-host 127.0.0.2", 1),
    ],
)
def test_what_goes_wrong_has_its_reason(fetcher, website, path, reason, detail, requests):
    limits = {"silent": {"stall_seconds": 0.5}, "drip": {"seconds": 2}}
    result = fetcher(fetch=limits.get(path)).fetch(FetchTask(website(path), "127.0.0.1"))
    assert (result.reason, result.video_uri) == (reason, None)
    assert result.status == ("skipped" if reason == "host_not_allowed" else "failed")
    assert detail in result.detail
    assert requests is None or len(website.asked(path)) == requests


def test_nothing_stays_of_what_failed(fetch, website, tmp_path):
    for path in ("truncated", "video/large?size=100001&close=1", "status/404", "binary"):
        assert fetch(website(path)).status == "failed"
    assert [path for path in (tmp_path / "root").rglob("*") if path.is_file()] == []


def test_what_is_too_large_is_not_read_to_its_end(fetch, website):
    for path in ("video/a?size=30000000", "video/b?size=30000000&close=1"):
        assert fetch(website(path)).reason == "too_large"
        assert website.sent(path) < 15_000_000  # sent into the kernel's buffers


@pytest.mark.parametrize("path", ["status/500?times=2", "status/429?times=1&after=1", "truncated?times=2"])
def test_what_fails_for_a_while_is_tried_again(fetch, website, path):
    result = fetch(website(path))
    assert (result.status, result.reason) == ("done", None)


def test_a_host_that_asks_to_wait_is_left_alone(fetcher, website):
    local = fetcher(connections=2)
    results = list(
        local.fetch_all(
            [FetchTask(website(path), "127.0.0.1") for path in ("status/429?times=1&after=1", "video/a", "video/b")]
        )
    )
    assert [result.status for result in results] == ["done"] * 3
    first, second = (moment for moment, *_ in website.asked("status"))
    assert second - first >= 1.0
    others = [moment - first for moment, *_ in website.asked("video")]
    assert not [seconds for seconds in others if 0.5 < seconds < 0.95], "a request was sent during the pause"


def test_the_rate_of_a_host(fetcher, website):
    local, started = fetcher(rate=10.0, connections=4), time.monotonic()
    assert len(list(local.fetch_all(FetchTask(website(f"video/{n}"), "127.0.0.1") for n in range(8)))) == 8
    assert (
        max(moment for moment, *_ in website.asked("video")) - started > 0.65
    )  # seven intervals of 0.1 s; a request may start a little late


def test_slow_ones_run_at_once_where_the_rate_needs_it(fetcher, website):
    local = fetcher(connections=4)
    list(local.fetch_all(FetchTask(website(f"video/{n}?seconds=1"), "127.0.0.1") for n in range(4)))
    first, second, *_ = sorted(moment for moment, *_ in website.asked("video"))
    assert second - first < 1.0, "the second request waited for the first, which takes a second"


def test_no_connection(fetch):
    result = fetch("http://127.0.0.1:9/x")
    assert (result.status, result.reason) == ("failed", "storage_error")
    assert "refused" in result.detail


def test_a_redirect_to_an_allowed_host(fetcher, website):
    local = fetcher(allowed=("127.0.0.1", "127.0.0.2"))
    target = website("video/x", "127.0.0.2")
    assert local.fetch(FetchTask(website(f"redirect?to={target}"), "127.0.0.1")).status == "done"
    assert local.fetch(FetchTask(website("redirect?to=redirect"), "127.0.0.1")).status == "failed"


def test_the_video_of_a_page(fetch, website, tmp_path):
    write(tmp_path / "site" / "inside.mp4")
    result = fetch(website("html/post-1?src=/files/inside.mp4"))
    assert (result.status, result.reason) == ("done", None)
    [file] = (tmp_path / "root" / "videos").glob("*.info.json")
    info = json.loads(file.read_text())
    assert info["title"].startswith("My page")
    assert info["webpage_url"] == website("html/post-1?src=/files/inside.mp4")
    assert info["id"] == result.sha256  # the generic extractor's name is not unique
    assert not {"formats", "http_headers", "cookies", "url"} & set(info)
    assert fetch(website("html/post-2?src=/video/inside")).reason == "unreadable"  # stored, and flagged


def test_a_page_leads_nowhere_else(fetch, website):
    elsewhere = website("video/x", "127.0.0.2")
    result = fetch(website(f"html?src={elsewhere}"))
    assert (result.status, result.reason) == ("skipped", "host_not_allowed")
    assert website.asked("video") == []


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("html", "no_video_stream"),
        ("html?src=/status/404", "missing_object"),
        ("html?src=/html", "unreadable"),
        ("html?src=http://[", "page_error"),
        ("garbled", "storage_error"),
        ("binary", "unreadable"),
    ],
)
def test_pages_without(fetch, website, path, reason):
    result = fetch(website(path))
    assert (result.status, result.reason) == ("failed", reason)
    assert "\n" not in result.detail
    assert "report" not in result.detail


def test_feeds_and_pages_of_several(fetch, website):
    urls = [website(f"video/{name}") for name in "ab"]
    result = fetch(website(f"feed?items={','.join(urls)}"))
    assert (result.status, result.reason, result.listed_urls) == ("done", FEED, tuple(urls))
    assert fetch(website("html?src=/video/a,/video/b")).listed_urls == tuple(urls)
    assert website.asked("video") == []


def test_cookies_where_they_belong(fetcher, website):
    text = "# Netscape HTTP Cookie File\n127.0.0.1\tFALSE\t/\tFALSE\t0\tsession\tsecret\n"
    local = fetcher(cookie_text=text, allowed=("127.0.0.1", "127.0.0.2"))
    assert local.fetch(FetchTask(website("cookie"), "127.0.0.1")).status == "done"
    assert local.fetch(FetchTask(website("html?src=/cookie"), "127.0.0.1")).status == "done"
    assert local.fetch(FetchTask(website("cookie", "127.0.0.2"), "127.0.0.2")).reason == "access_denied"
    away = website("video/x", "127.0.0.2")
    local.fetch(FetchTask(website(f"redirect?to={away}"), "127.0.0.1"))
    assert [headers.get("Cookie") for _, host, _, headers in website.asked() if host.startswith("127.0.0.2")] == [
        None
    ] * 2


def test_an_outcome_has_the_fields_of_the_ledger(fetch, website):
    result = fetch(website("video/x"))
    assert [name for name in FETCHES.names if not hasattr(result, name)] == []


def test_a_store_that_cannot_be_written_is_no_fault_of_the_address(fetcher, website, tmp_path):
    from viral.errors import StorageError

    (tmp_path / "full").mkdir()
    Path(tmp_path, "full", "videos").write_text("in the way")
    with pytest.raises(StorageError):
        fetcher(store=Store.open(tmp_path / "full")).fetch(FetchTask(website("video/x"), "127.0.0.1"))
