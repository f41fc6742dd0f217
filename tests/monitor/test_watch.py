"""The watch: from feeds to alerts, killed at every write, with feeds that misbehave."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import ClassVar

import pytest

from tests.conftest import Viral, Website
from tests.monitor.conftest import SECONDS, START
from tests.monitor.receivers import mail_server, webhook
from viral.config import Settings
from viral.errors import PageError
from viral.fetching.hosts import AllowedHosts
from viral.fetching.rate_limit import TokenBuckets
from viral.monitor.alerts.channels import open_channel
from viral.monitor.alerts.outbox import Outbox
from viral.monitor.alerts.schedule import Schedule
from viral.monitor.archive import export_bundle, verify_archive
from viral.monitor.feeds.feed import FeedItem, PostFeed, open_feed
from viral.monitor.feeds.web import WebAccess
from viral.monitor.targets import load_detector, reviewed_frames
from viral.monitor.watch import health
from viral.monitor.watch.record import expire
from viral.monitor.watch.scan import Scanner, ScanResult
from viral.monitor.watch.seen import KEPT_DAYS, SeenPosts
from viral.monitor.watch.watch import Watch
from viral.storage.store import Store
from viral.tables.sightings import sightings_table

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)


class Remembering(Scanner):
    """Scans each file once: what a kill does is not about pictures."""

    results: ClassVar[dict[tuple[str, int], ScanResult]] = {}

    def scan(self, path: Path) -> ScanResult:
        key = (path.name, path.stat().st_size)
        if key not in self.results:
            self.results[key] = super().scan(path)
        return self.results[key]


@pytest.fixture(scope="module")
def scanner(watched: Path) -> Iterator[Scanner]:
    store = Store(watched / "root")
    scanner = Remembering([load_detector(store, "logo")], store, Settings())
    yield scanner
    scanner.close()


class Listed:
    """A feed of a test: each poll takes the next answer, the last one again and again; an exception is raised."""

    location = "test"

    def __init__(self, *answers: list[FeedItem] | Exception) -> None:
        self.answers = list(answers)

    def poll(self) -> list[FeedItem]:
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


def items(folder: Path) -> list[FeedItem]:
    return [FeedItem(path.stem, video_uri=str(path), post={"id": path.stem}) for path in sorted(folder.glob("*.mp4"))]


def make_watch(
    store: Store, scanner: Scanner, feeds: dict[str, PostFeed], sent: list[str], log: list[str], *channels: str
) -> Watch:
    settings, limiter = Settings(), TokenBuckets(1000)
    web = WebAccess(AllowedHosts(["127.0.0.1"]), settings, limiter)
    opened = [open_channel(text, settings.monitor, sent.append, lambda _: None) for text in (channels or ("console",))]
    outbox = Outbox(store, opened, Schedule(), log.append)
    return Watch(store, settings, feeds, scanner, outbox, web, limiter, log.append, now=NOW)


def test_a_post_on_the_web_becomes_a_mail_a_webhook_and_evidence(
    watched: Path, website: Website, viral_here: Viral, tmp_path: Path
) -> None:
    shutil.copytree(watched / "root", tmp_path / "root")
    (tmp_path / "site").mkdir()
    for name, source in (("shown", watched / "shown" / "0.mp4"), ("clean", next((watched / "clean").iterdir()))):
        shutil.copy(source, tmp_path / "site" / f"{name}.mp4")
    urls = ",".join(website(f"files/{name}.mp4") for name in ("shown", "clean"))
    root, feed = ("--root", tmp_path / "root"), f"rss:{website(f'feed?items={urls}')}"
    with mail_server() as (mailbox, port), webhook() as hook:
        settings = {
            "VIRAL_MONITOR__SMTP_HOST": "127.0.0.1",
            "VIRAL_MONITOR__SMTP_PORT": str(port),
            "VIRAL_MONITOR__SMTP_TLS": "none",
            "VIRAL_MONITOR__WEBHOOK_SECRET": "s3cret",
        }
        alerts = [
            "--alert",
            "mailto:desk@example.org",
            "--alert",
            hook.url,
            "--allow-host",
            "127.0.0.1",
            "--rate",
            "99",
        ]
        line = ("monitor", "run", "--once", "--feed", feed, *alerts, *root, "--json")
        for expected in (1, 0):  # a second run has nothing to do
            done = viral_here(*line, **settings)
            assert done.returncode == 0, done.stderr
            summary = json.loads(done.stdout)
            assert (summary["sightings"], summary["delivered"], summary["failed"]) == (expected, expected, 0)
        assert len(mailbox.messages) == len(hook.accepted) == 1
        facts = hook.accepted[0]["facts"]
    assert START - 0.5 <= facts["start_seconds"] <= START + 0.5
    assert START <= facts["peak_seconds"] <= START + SECONDS
    assert facts["page_url"] == website("files/shown.mp4")
    store = Store(tmp_path / "root")
    export_bundle(store, facts["sighting_id"], tmp_path / "evidence.zip")
    assert verify_archive(tmp_path / "evidence.zip", store=store).recorded
    prefix = f"monitor/evidence/{facts['sighting_id']}"
    manifest = json.loads(store.read(f"{prefix}/manifest.json"))
    assert manifest["video"]["sha256"] == facts["sha256"] and manifest["video"]["perceptual_hash"]
    assert len(manifest["frames"]) >= 3 and "monitor/targets" not in str(manifest)
    # Nothing of the posts themselves stays in the root.
    assert [info.key for info in store.objects("videos")] == []
    # What a person says flows back into training.
    assert viral_here("monitor", "review", facts["sighting_id"], "confirm", *root).returncode == 0
    examples, negatives = reviewed_frames(store, "logo")
    assert len(examples) == len(manifest["frames"]) and negatives == []
    assert expire(store, NOW) == 0 and expire(store, NOW + timedelta(days=400)) == 1
    assert list(store.objects(prefix)) == []


class KilledError(BaseException):
    """Stands for SIGKILL: nothing catches it, and nothing is cleaned up that a kill would not clean up."""


def kill_at(number: int, monkeypatch: pytest.MonkeyPatch) -> Callable[[], bool]:
    """Let the process die before its write or deletion of this number; returns whether it came so far."""
    count = 0

    def dying(method: Callable[..., object]) -> Callable[..., object]:
        def call(*arguments: object, **named: object) -> object:
            nonlocal count
            count += 1
            if count == number:
                raise KilledError
            return method(*arguments, **named)

        return call

    for name in ("write", "write_new", "delete"):
        monkeypatch.setattr(Store, name, dying(getattr(Store, name)))
    return lambda: count >= number


def test_killed_at_every_write_it_alerts_once(watched: Path, scanner: Scanner, tmp_path: Path) -> None:
    posts = items(watched / "shown")[:1]
    number, kills = 0, 0
    while True:
        number += 1
        store, sent, log = Store(tmp_path / str(number)), list[str](), list[str]()
        (tmp_path / str(number)).mkdir()
        with pytest.MonkeyPatch.context() as patch:
            reached = kill_at(number, patch)
            try:
                make_watch(store, scanner, {"test": Listed(posts)}, sent, log).round(NOW)
            except KilledError:
                kills += 1
        for _ in range(2):
            make_watch(store, scanner, {"test": Listed(posts)}, sent, log).round(NOW)
        rows = sightings_table(store).read().to_pylist()
        assert sorted(row["post_id"] for row in rows) == ["0"], number
        distinct = {line.splitlines()[0] for line in sent}
        assert len(distinct) == 1, number
        # Between a delivery and its mark nobody can know: one more message, with the same id, is the most.
        assert len(sent) <= 2, number
        assert list(store.objects("monitor/outbox")) == []
        if not reached():
            break
        shutil.rmtree(tmp_path / str(number))
    assert kills >= 12


def test_a_copy_joins_the_alert_of_the_first(watched: Path, scanner: Scanner, folder_store: Store) -> None:
    first = items(watched / "shown")[0]
    copy = FeedItem("copy", video_uri=first.video_uri)
    sent: list[str] = []
    watch = make_watch(folder_store, scanner, {"a": Listed([first]), "b": Listed([first, copy])}, sent, [])
    watch.round(NOW)
    rows = {row["post_id"]: row for row in sightings_table(folder_store).read().to_pylist()}
    assert len(sent) == 1 and set(rows) == {"0", "copy"}
    assert rows["copy"]["alert_id"] == rows["0"]["sighting_id"] == rows["0"]["alert_id"]


def test_feeds_that_misbehave_are_told_and_do_not_stop_the_others(
    watched: Path, scanner: Scanner, folder_store: Store, tmp_path: Path
) -> None:
    clean = items(watched / "clean")
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"no video")
    feeds = {
        "down": Listed(PageError("no answer")),
        "bug": Listed(ValueError("a plug-in's own")),
        "emptied": Listed(clean, []),
        "good": Listed([*clean, *clean, FeedItem("broken", video_uri=str(broken)), *items(watched / "shown")]),
    }
    sent, log = list[str](), list[str]()
    watch = make_watch(folder_store, scanner, feeds, sent, log)
    now = NOW
    for _ in range(2 + health.FAILURES):
        now = max(now, watch.round(now))
        for watched_feed in watch.feeds:
            watched_feed.next_poll = now
    titles = sorted(line.splitlines()[0] for line in sent)
    assert [title.partition(" of ")[0] for title in titles if title.startswith("Possible")] == [
        f"Possible match, verify: logo in post {name}" for name in "01"
    ]
    assert [title for title in titles if title.startswith("The feed")] == [
        "The feed bug gives no valid answer: blocked, moved or down",
        "The feed down gives no valid answer: blocked, moved or down",
        "The feed emptied answers without any post, which it did not before: perhaps blocked",
    ]
    assert sum("post broken: unreadable" in line for line in log) == 3, "tried three times, then left"
    down = watch.feeds[0].health
    assert down.backoff(300) == 3600 and watch.feeds[3].health.backoff(300) == 300
    now += timedelta(hours=25)
    for watched_feed in watch.feeds:
        watched_feed.next_poll = now
    watch.round(now)
    assert "The feed good has brought no new post for a day" in "\n".join(sent)
    restarted = make_watch(folder_store, scanner, feeds, sent, log)
    assert restarted.feeds[0].health.failures == down.failures and restarted.feeds[0].health.alarm == "failing"


def test_the_state_of_many_posts_is_small(folder_store: Store) -> None:
    """A thousand posts a day for six weeks leave the ids of one month, in one object a day."""
    day = NOW.date()
    for number in range(42):
        today = day + timedelta(days=number)
        seen = SeenPosts(folder_store, "feed", today)
        # Without a mark for each, as after a round: what is merged is what matters here.
        seen._days |= {f"{number:08d}{i:08x}": today.isoformat() for i in range(1000)}
        seen.add(f"post {number}", today)
        seen.compact([f"post {number}", "post 0"], today)
    objects = list(folder_store.objects("monitor/seen"))
    assert len(objects) <= KEPT_DAYS + 1
    assert sum(info.size for info in objects) < 32 * 1000 * (KEPT_DAYS + 1)
    seen = SeenPosts(folder_store, "feed", today)
    assert "post 0" in seen, "its feed lists it still"
    assert "post 41" in seen and "post 10" not in seen


def test_feeds_by_name(website: Website, tmp_path: Path, clips: list[Path], request: pytest.FixtureRequest) -> None:
    web = WebAccess(AllowedHosts(["127.0.0.1"]), Settings(), TokenBuckets(1000))
    request.addfinalizer(web.close)
    video = website("video/a.mp4")
    lines = [json.dumps({"id": "7", "url": video, "desc": "x"}), "no json", json.dumps({"no": "url"})]
    (tmp_path / "site").mkdir()
    for path in (tmp_path / "posts.jsonl", tmp_path / "site" / "posts.jsonl"):
        path.write_text("\n".join(lines))
    shutil.copy(clips[0], tmp_path / "site" / "clip.mp4")
    (tmp_path / "site" / "clip.info.json").write_text(json.dumps({"id": "9", "webpage_url": "https://example.com/9"}))
    for location in (tmp_path / "posts.jsonl", website("files/posts.jsonl")):
        (item,) = open_feed(f"jsonl:{location}", web).poll()
        assert (item.post_id, item.url, item.page_url) == ("7", video, video)
    (item,) = open_feed(f"folder:{tmp_path / 'site'}", web).poll()
    assert (item.post_id, item.page_url) == ("9", "https://example.com/9")
    (item,) = open_feed(f"rss:{website(f'feed?items={video}')}", web).poll()
    assert item.url == video and item.post["title"] == "t"
    assert [item.url for item in open_feed(f"page:{website(f'feed?items={video}')}", web).poll()] == [video]
    (tmp_path / "posts.jsonl").write_text("<html>blocked</html>")
    for text in (f"jsonl:{tmp_path / 'posts.jsonl'}", f"rss:{website('html')}"):
        with pytest.raises(PageError):
            open_feed(text, web).poll()
