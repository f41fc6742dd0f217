"""Plan of a fetch: staging of the URLs to fetch, comparison with the ledger, and videos of posts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, cast

import pyarrow as pa
import pyarrow.compute as pc

from jobs.runtime.buckets import map_buckets
from viral.errors import BadAddressError, ConfigError, HostNotAllowedError, SourceError
from viral.fetching.fetch import FEED
from viral.fetching.hosts import AllowedHosts, not_allowed_error, strip_fragment, url_host
from viral.storage.store import Store, open_uri
from viral.tables.bucketed import BucketedTable
from viral.tables.places import fetches_table, posts_table
from viral.tables.posts import without_video
from viral.tables.schemas import FETCHES, PHOTOS, POST_VIDEOS

BATCH_URLS = 50_000  # URLs per batch: bounds the memory for a long list
MAX_HOSTS_IN_ERROR = 5  # they fit on one line

TASKS = pa.schema(
    [
        pa.field("url", pa.string(), nullable=False),
        pa.field("site", pa.string()),
        pa.field("post_id", pa.string()),
        pa.field("attempts", pa.int32()),
        pa.field("part", pa.bool_()),  # a picture or the sound of a photo set
    ]
)

_WANTED = pa.schema([pa.field("url", pa.string(), nullable=False), pa.field("post_id", pa.string(), nullable=False)])


@dataclass(frozen=True)
class FetchPlan:
    """Staging tables of one run. Round 0 fetches the requested URLs, later rounds those that feeds list."""

    store: Store
    staging: str
    hosts: AllowedHosts
    log2_buckets: int

    def tasks(self, round_: int) -> BucketedTable:
        """Table of all tasks of a round, done or not."""
        return BucketedTable(self.store, f"{self.staging}/tasks/{round_}", TASKS, key="url")

    def todo(self, round_: int, site: str = "") -> BucketedTable:
        """Table of the tasks of a round that are left to do, of one site or of all."""
        # An IPv6 address has colons, which are not safe in a file name.
        name = f"/{site.replace(':', '_')}" if site else ""
        return BucketedTable(self.store, f"{self.staging}/todo/{round_}{name}", TASKS, key="url", nested=True)

    def wanted(self) -> BucketedTable:
        """Table of the posts that want the video at a URL: several may want the same."""
        prefix = f"{self.staging}/wanted"
        return BucketedTable(self.store, prefix, _WANTED, key="url", newest_by="post_id", history=True)

    def ledger(self, bucket: int, columns: Sequence[str]) -> dict[str, dict[str, Any]]:
        """Read a bucket of the ledger; return URL → row."""
        rows = fetches_table(self.store).read(self.log2_buckets, bucket, columns).to_pylist()
        return {row["url"]: row for row in rows}

    def attached(self) -> BucketedTable:
        """Table of the posts whose video has been fetched, in the buckets of the posts."""
        return BucketedTable(self.store, f"{self.staging}/attached", POST_VIDEOS, key="post_id", newest_by="fetched_at")


def stage_urls(plan: FetchPlan, urls: Iterable[str]) -> None:
    """Stage the requested URLs in batches.

    Raises:
        ConfigError: an entry is not an http(s) URL, or its host is not allowed.
    """
    urls = iter(urls)
    unknown: set[str] = set()
    while batch := list(islice(urls, BATCH_URLS)):
        rows = []
        for url in map(strip_fragment, batch):
            try:
                rows.append({"url": url, "site": plan.hosts.site(url)})
            except HostNotAllowedError:
                unknown.add(url_host(url))
            except BadAddressError as error:
                raise ConfigError(f"{error}: correct it") from error
        if len(unknown) >= MAX_HOSTS_IN_ERROR:  # enough for the error
            break
        plan.tasks(0).append(_task_table(rows), plan.log2_buckets)
    if unknown:
        raise not_allowed_error(unknown)


def read_url_list(file: str) -> Iterator[str]:
    """Yield the URLs of a file with one per line; skip empty lines and comments (`#`).

    Raises:
        SourceError: the file cannot be read.
    """
    try:
        stream = open_uri(file if file.startswith("s3://") else str(Path(file).expanduser()))
    except OSError as error:
        raise SourceError(f"cannot read the list {file}: {error.strerror or error}") from error
    with stream:
        for line in stream:
            text = line.decode("utf-8", "replace").strip()
            if text and not text.startswith("#"):
                yield text


def stage_listed_urls(plan: FetchPlan, round_: int, urls: Iterable[str]) -> None:
    """Stage the URLs that a feed lists; those of hosts that are not allowed get no site and are refused later."""
    rows = []
    for url in map(strip_fragment, urls):
        try:
            rows.append({"url": url, "site": plan.hosts.site(url)})
        except HostNotAllowedError:
            rows.append({"url": url})
        except BadAddressError:
            continue
    plan.tasks(round_).append(_task_table(rows), plan.log2_buckets)


def stage_posts(plan: FetchPlan, posts_log2_buckets: int) -> None:
    """Stage the pages of all posts without a video, except photo sets; where only the video's host is allowed, that.

    Raises:
        ConfigError: neither host of a post is allowed.
    """
    unknown = set[str]()
    for hosts in map_buckets(partial(_stage_posts, plan, posts_log2_buckets), posts_log2_buckets):
        unknown.update(hosts)
    if unknown:
        raise not_allowed_error(sorted(unknown)[:MAX_HOSTS_IN_ERROR])


def _stage_posts(plan: FetchPlan, log2_buckets: int, bucket: int) -> list[str]:
    posts = posts_table(plan.store).read(log2_buckets, bucket, ["post_id", "page_url", "video_uri", "kind"])
    posts = posts.filter(pc.not_equal(pc.fill_null(posts["kind"], ""), PHOTOS))
    rows, unknown = [], set[str]()
    for post in posts.filter(without_video(posts)).to_pylist():
        # The page first: on most sites, the address of the file itself expires within days.
        task, refused = _first_allowed(plan, [post["page_url"], post["video_uri"]])
        if task:
            rows.append({**task, "post_id": post["post_id"]})
        else:  # without any URL, `viral backfill` reports `missing_object` for the post
            unknown.update(refused[:1])
    stage_tasks(plan, rows)
    # In buckets of URLs, in which the ledger is read; `_stage_attached` turns them into buckets of posts.
    plan.wanted().append(_table(rows, _WANTED), plan.log2_buckets)
    return sorted(unknown)[:MAX_HOSTS_IN_ERROR]


def _first_allowed(plan: FetchPlan, urls: Sequence[str | None]) -> tuple[dict[str, Any] | None, list[str]]:
    """Return the task of the first URL whose host is allowed, and the hosts before it that are not."""
    refused: list[str] = []
    for url in map(strip_fragment, filter(None, urls)):
        try:
            return {"url": url, "site": plan.hosts.site(url)}, refused
        except HostNotAllowedError:
            refused.append(url_host(url))
        except BadAddressError:
            continue
    return None, refused


def stage_tasks(plan: FetchPlan, rows: Sequence[dict[str, Any]]) -> None:
    """Stage tasks of the first round: rows of `TASKS`, whose nullable columns may be absent."""
    plan.tasks(0).append(_task_table(rows), plan.log2_buckets)


def plan_round(plan: FetchPlan, round_: int, *, retry_failed: bool) -> dict[str, Counter[str]]:
    """Stage the tasks that are left to do in a round; return site → number of URLs per state.

    The states are `todo`, `done`, `failed` and `refused`. A URL without a site is refused, and recorded in the ledger.
    """
    counts: dict[str, Counter[str]] = {}
    for bucket_counts in map_buckets(partial(_plan_bucket, plan, round_, retry_failed), plan.log2_buckets):
        for (site, state), count in bucket_counts.items():
            counts.setdefault(site, Counter())[state] += count
    return counts


def _plan_bucket(plan: FetchPlan, round_: int, retry_failed: bool, bucket: int) -> Counter[tuple[str, str]]:
    ledger = plan.ledger(bucket, ["url", "status", "reason", "attempts"])
    todo: dict[str, list[dict[str, Any]]] = {}
    refused_urls: list[str] = []
    counts: Counter[tuple[str, str]] = Counter()
    for task in _new_tasks(plan, round_, bucket):
        url, site = task["url"], task["site"] or ""
        entry = ledger.get(url)
        # The ledger knows what earlier runs did, also a run that was killed: only the rest is fetched.
        state = _task_state(entry, retry_failed)
        if state == "todo" and not site:
            state = "refused"
            refused_urls.append(url)
        elif state == "todo":
            todo.setdefault(site, []).append({**task, "attempts": entry["attempts"] if entry else 0})
        counts[site, state] += 1
    for site, rows in todo.items():
        plan.todo(round_, site).append(_task_table(rows), plan.log2_buckets)
    fetches_table(plan.store).append(_refused_rows(refused_urls), plan.log2_buckets)
    return counts


def _new_tasks(plan: FetchPlan, round_: int, bucket: int) -> list[dict[str, Any]]:
    """Read the tasks of a round without those of earlier rounds."""
    tasks = plan.tasks(round_).read(plan.log2_buckets, bucket)
    for earlier in range(round_):  # feeds repeat their entries
        urls = plan.tasks(earlier).read(plan.log2_buckets, bucket, ["url"])["url"].combine_chunks()
        tasks = tasks.filter(pc.invert(pc.is_in(tasks["url"], urls)))
    return cast("list[dict[str, Any]]", tasks.to_pylist())


def _refused_rows(urls: Sequence[str]) -> pa.Table:
    """Build the ledger rows of URLs that are skipped because their host is not allowed."""
    now, reason = datetime.now(UTC), HostNotAllowedError.reason
    rows = [
        {"url": url, "host": url_host(url), "status": "skipped", "reason": reason, "attempts": 0, "fetched_at": now}
        for url in urls
    ]
    return _table(rows, FETCHES)


def _task_state(entry: dict[str, Any] | None, retry_failed: bool) -> str:
    if entry is None or entry["reason"] == FEED:  # a feed may have new entries
        return "todo"
    if entry["status"] == "done":
        return "done"
    return "todo" if retry_failed else "failed"


def count_results(plan: FetchPlan, rounds: int) -> Iterator[tuple[Counter[tuple[str, str, str]], int]]:
    """Count the URLs of this run by (host, status, reason), and the fetched bytes; yield the counts of each bucket."""
    for round_ in range(rounds):
        yield from map_buckets(partial(_count_results, plan, round_), plan.log2_buckets)


def _count_results(plan: FetchPlan, round_: int, bucket: int) -> tuple[Counter[tuple[str, str, str]], int]:
    ledger = plan.ledger(bucket, ["url", "host", "status", "reason", "bytes"])
    counts: Counter[tuple[str, str, str]] = Counter()
    size = 0
    for url in plan.todo(round_).read(plan.log2_buckets, bucket, ["url"])["url"].to_pylist():
        if row := ledger.get(url):
            counts[row["host"], row["status"], row["reason"] or ""] += 1
            size += row["bytes"] or 0
    return counts, size


def attach_videos(plan: FetchPlan, posts_log2_buckets: int) -> int:
    """Store which posts got a video in this run or earlier; return how many are new."""
    # Results come lazily: the list waits for all of them before the merge reads what they wrote.
    list(map_buckets(partial(_stage_attached, plan, posts_log2_buckets), plan.log2_buckets))
    attached = sum(map_buckets(partial(_attach, plan, posts_log2_buckets), posts_log2_buckets))
    posts_table(plan.store).videos.drop_superseded(posts_log2_buckets)
    return attached


def _stage_attached(plan: FetchPlan, posts_log2_buckets: int, bucket: int) -> None:
    ledger = plan.ledger(bucket, ["url", "video_uri", "sha256", "fetched_at"])
    rows = [
        {**row, "post_id": wanted["post_id"]}
        for wanted in plan.wanted().versions(plan.log2_buckets, bucket).to_pylist()
        if (row := ledger.get(wanted["url"])) and row["video_uri"]
    ]
    plan.attached().append(_table(rows, POST_VIDEOS), posts_log2_buckets)


def _attach(plan: FetchPlan, log2_buckets: int, bucket: int) -> int:
    return posts_table(plan.store).videos.merge(plan.attached().read(log2_buckets, bucket), log2_buckets, bucket)


def _task_table(rows: Sequence[dict[str, Any]]) -> pa.Table:
    return _table(rows, TASKS)


def _table(rows: Sequence[dict[str, Any]], schema: pa.Schema) -> pa.Table:
    """Build a table from rows that may lack nullable columns or have others."""
    return pa.Table.from_pylist([{name: row.get(name) for name in schema.names} for row in rows], schema=schema)
