"""`viral fetch`: results and reasons, feeds, posts without a video, rate limits, and recovery from a kill."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow as pa
import pytest

from jobs import fetch, ingest
from jobs.fetch import FetchRequest
from jobs.ingesting.source import IngestSource
from viral.config import Settings
from viral.errors import ConfigError, SourceError, TableError
from viral.storage.store import Store
from viral.tables.places import fetches_table, posts_table
from viral.tables.schemas import POSTS

HERE, THERE = "127.0.0.1", "127.0.0.2"
STARTS_WITHIN = 280.0  # seconds; Ray takes five, and far longer where the cores are busy
SETTINGS = Settings(
    media={"max_bytes": 100_000}, fetch={"attempts": 2, "backoff_seconds": 0.05, "stall_seconds": 5, "seconds": 30}
)

ON_A_FOLDER = pytest.mark.parametrize("any_root", ["folder"], indirect=True)
ON_S3 = pytest.mark.parametrize("any_root", ["s3"], indirect=True)


@pytest.fixture
def run(ray_session, any_store):
    """Fetch into an empty root from both hosts, by default fast."""

    def call(*urls, allowed=(HERE, THERE), rate=100.0, **more):
        return fetch.run(any_store, FetchRequest(urls, allowed=allowed, rate=rate, **more), SETTINGS)

    return call


@pytest.fixture
def ledger(any_store):
    """Rows of the ledger by path."""
    return lambda: {"/" + row["url"].split("/", 3)[3]: row for row in fetches_table(any_store).read().to_pylist()}


@ON_S3
def test_every_address_ends_as_one_row_and_none_is_fetched_twice(run, ledger, website, any_store, monkeypatch):
    monkeypatch.setattr(fetch, "log2_buckets_for", lambda rows: 2)  # as for 100,000 addresses
    good = ["video/a", "video/b?same=a", "html/x?src=/video/inside", "status/500?times=1", "redirect?to=/video/r"]
    bad = {"status/404": "missing_object", "video/l?size=100001": "too_large", "truncated": "storage_error"}
    urls = [website(path) for path in [*good, *bad]] + [website("video/c", THERE)]
    summary = run(*urls, urls[0])
    assert (summary.urls, summary.done, summary.failed, summary.skipped, summary.done_before) == (9, 6, 3, 0, 0)
    assert summary.reasons == dict.fromkeys(bad.values(), 1) | {"unreadable": 1}  # the video of the page is none
    assert summary.hosts == {HERE: {"done": 5, "failed": 3}, THERE: {"done": 1}}
    assert summary.bytes == 6 * 20_000
    rows = ledger()
    assert len(rows) == 9
    assert {path: rows[f"/{path}"]["reason"] for path in bad} == bad
    assert rows["/video/a"]["video_uri"] == rows["/video/b?same=a"]["video_uri"]
    keys = [info.key for info in any_store.objects("")]
    assert sum(key.endswith(".mp4") for key in keys) == 5
    assert {key.partition("/")[0] for key in keys} == {"videos", "fetches"}

    before = len(website.asked())
    again = run(*urls)
    assert (again.done_before, again.failed_before, again.done, again.failed) == (6, 3, 0, 0)
    assert len(website.asked()) == before
    retried = run(*urls, retry_failed=True)
    assert (retried.done_before, retried.failed) == (6, 3)
    assert ledger()["/status/404"]["attempts"] == 2


@ON_A_FOLDER
def test_ingest_reads_what_was_fetched(run, website, any_store):
    run(website("video/a"), website("html/x?src=/video/inside"))
    summary = ingest.run(any_store, IngestSource("yt_dlp", (any_store.uri("videos"),)))
    assert (summary.posts, summary.rejects) == (2, 0)
    posts = posts_table(any_store).read().to_pylist()
    assert {post["page_url"] for post in posts} == {website("video/a"), website("html/x?src=/video/inside")}
    for post in posts:
        assert Store(post["video_uri"].rpartition("/")[0]).exists(post["video_uri"].rpartition("/")[2])


@ON_A_FOLDER
def test_a_feed_is_looked_at_again_for_what_is_new(run, ledger, website):
    inner = website(f"feed/inner?items={website('video/deep')}")
    items = [website("video/a"), website("html?src=/video/b"), inner, "http://127.0.0.3/x"]
    summary = run(website(f"feed?items={','.join(items)}"))
    assert (summary.urls, summary.feeds, summary.done, summary.skipped) == (6, 2, 3, 1)
    assert summary.reasons == {"host_not_allowed": 1, "unreadable": 1}
    assert (ledger()["/x"]["status"], ledger()["/video/deep"]["status"]) == ("skipped", "done")
    again = run(website(f"feed?items={','.join(items)}"))
    assert (again.feeds, again.done, again.done_before, again.failed_before) == (2, 0, 3, 1)
    assert len(website.asked("video")) == 3


@ON_A_FOLDER
def test_posts_without_a_video_get_theirs(run, website, any_store, monkeypatch):
    monkeypatch.setattr(fetch, "log2_buckets_for", lambda rows: 2)

    def post(name, **more):
        return {**dict.fromkeys(POSTS.names), "post_id": name, "source": "s", "caption": f"of {name}", **more}

    posts = [
        post("page", page_url=website("html/p?src=/video/p")),
        post("direct", page_url="https://tiktok.example/p/d", video_uri=website("video/d")),
        post("same", page_url=website("html/p?src=/video/p")),
        post("gone", page_url=website("status/404")),
        post("has", page_url=website("video/has"), video_uri="videos/has.mp4"),
        post("nothing"),
        post("junk", page_url="see my profile"),
    ]
    posts_table(any_store).append(pa.Table.from_pylist(posts, schema=POSTS), 0)
    summary = run(posts=True)
    assert (summary.urls, summary.done, summary.failed, summary.posts_with_video) == (3, 2, 1, 3)
    table = {row["post_id"]: row for row in posts_table(any_store).read().to_pylist()}
    assert [name for name, row in table.items() if (row["video_uri"] or "").startswith("videos/")] == [
        *("direct", "has", "page", "same"),
    ]
    assert {row["caption"] for row in table.values()} == {f"of {row['post_id']}" for row in posts}
    assert any_store.exists(table["page"]["video_uri"])
    assert table["same"]["video_uri"] == table["page"]["video_uri"]
    again = run(posts=True)
    assert (again.urls, again.failed_before, again.posts_with_video) == (1, 1, 0)

    # A newer scrape without a video neither hides the fetched one nor causes another download.
    posts_table(any_store).merge(pa.Table.from_pylist([posts[0]], schema=POSTS), 0, 0)
    assert (run(posts=True).posts_with_video, len(website.asked("video/p"))) == (0, 1)
    assert {row["post_id"]: row for row in posts_table(any_store).read().to_pylist()} == table


@ON_A_FOLDER
def test_a_list(run, ledger, website, tmp_path):
    (tmp_path / "list.txt").write_text(f"# mine\n\n {website('video/a')} \r\n{website('video/b')}#t=3\n")
    assert run(list_file=str(tmp_path / "list.txt")).done == 2
    assert set(ledger()) == {"/video/a", "/video/b"}


@ON_A_FOLDER
def test_what_is_no_request(run, website, any_store, tmp_path):
    for request, error, message in (
        ({}, ConfigError, "nothing to fetch"),
        ({"urls": (website("x"),), "rate": 0.0}, ConfigError, "--rate 0"),
        ({"posts": True}, TableError, "posts table .* is empty"),
        ({"list_file": str(tmp_path / "no")}, SourceError, "cannot read the list"),
        ({"urls": ("file:///etc/passwd",)}, ConfigError, "not an http"),
        ({"urls": ("http://u:p@127.0.0.1/",)}, ConfigError, "--cookies FILE"),
        ({"urls": ("https://www.tiktok.com/@a",)}, ConfigError, "terms of use .* --allow-host tiktok.com$"),
        ({"urls": (website("x"),), "allowed": ()}, ConfigError, "--allow-host 127.0.0.1"),
    ):
        with pytest.raises(error, match=message):
            run(*request.pop("urls", ()), **request)
    table = pa.Table.from_pylist(
        [
            {
                **dict.fromkeys(POSTS.names),
                "post_id": "1",
                "source": "s",
                "page_url": "https://www.tiktok.com/@a/video/1",
            }
        ],
        schema=POSTS,
    )
    posts_table(any_store).append(table, 0)
    with pytest.raises(ConfigError, match=r"--allow-host tiktok\.com"):
        run(posts=True)
    assert website.asked() == []
    assert list(any_store.objects("fetches")) == list(any_store.objects("staging")) == []


@ON_A_FOLDER
def test_the_rate_holds_for_each_host_over_all_tasks(run, website):
    # A host that the tasks of two sites lead to is limited too.
    near = [website(f"redirect?to={website(f'video/n{n}', THERE)}") for n in range(4)]
    far = [website(f"video/f{n}", THERE) for n in range(4)]
    summary = run(*near, *far, rate=5.0)
    assert summary.done == 8
    for host in (HERE, THERE):
        moments = sorted(moment for moment, name, *_ in website.asked() if name.startswith(host))
        # The first request may reach the site late; without the limit, all take a fraction of a second.
        assert moments[-1] - moments[0] > 0.2 * (len(moments) - 1) - 0.7


def test_a_kill_costs_what_is_on_its_way(environment, viral, website, s3_root):
    urls = [website(f"video/{n}?seconds=0.1", (HERE, THERE)[n % 2]) for n in range(40)]
    options = ["--root", s3_root, "--allow-host", HERE, "--allow-host", THERE, "--json", "--rate"]
    command = [str(Path(sys.executable).with_name("viral")), "fetch", *urls, *options, "4"]
    running = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    until = time.monotonic() + STARTS_WITHIN
    while len(website.asked("video")) < 16 and time.monotonic() < until and running.poll() is None:
        time.sleep(0.1)
    running.send_signal(signal.SIGKILL)
    assert not running.communicate()[1]
    recorded = len(fetches_table(Store.open(s3_root)).read())
    assert 5 <= recorded < 40
    done = viral("fetch", *urls, *options, "100")
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    assert (summary["urls"], summary["failed"]) == (40, 0)
    assert summary["done_before"] >= recorded
    assert fetches_table(Store.open(s3_root)).read()["status"].to_pylist() == ["done"] * 40
    requests = len(website.asked("video"))
    assert 40 <= requests <= 40 + 2 * 5  # of each site at the time of the kill: four connections, and one waiting
    keys = [info.key for info in Store.open(s3_root).objects("")]
    assert sum(key.endswith(".mp4") for key in keys) == 40
    assert not [key for key in keys if key.startswith("staging")]


def test_as_a_command(viral, website, tmp_path):
    (tmp_path / "cookies.txt").write_text(f"# Netscape HTTP Cookie File\n{HERE}\tFALSE\t/\tFALSE\t0\tsession\tsecret\n")
    (tmp_path / "cookies.txt").chmod(0o644)
    arguments = ["fetch", website("cookie"), "--root", tmp_path, "--allow-host", HERE]
    refused = viral(*arguments, "--cookies", tmp_path / "cookies.txt")
    assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)
    assert "chmod 600" in refused.stderr
    (tmp_path / "cookies.txt").chmod(0o600)
    done = viral(*arguments, "--cookies", tmp_path / "cookies.txt")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert re.search(r"^done +1$", done.stdout, re.MULTILINE)
    assert "fetch      finished" in viral("status", "--root", tmp_path).stdout
    assert "secret" not in "".join(path.read_text() for path in tmp_path.rglob("*.info.json"))
