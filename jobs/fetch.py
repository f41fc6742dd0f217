"""`viral fetch`: download videos by URL, page or feed into the root, and record every URL in a ledger."""

from __future__ import annotations

import itertools
import math
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import click

from jobs.fetching.photo_sets import attach_photo_sets, stage_photo_sets
from jobs.fetching.plan import (
    FetchPlan,
    attach_videos,
    count_results,
    plan_round,
    read_url_list,
    stage_posts,
    stage_urls,
)
from jobs.fetching.sites import SiteFetcher
from jobs.runtime.buckets import map_buckets
from jobs.runtime.session import session
from viral.config import Settings, load
from viral.console.commands import execute
from viral.console.options import ray_options, root_options
from viral.console.output import ProgressCallback, all_failed, print_summary, progress_bar
from viral.errors import ConfigError, HostNotAllowedError
from viral.fetching.cookies import read_cookies
from viral.fetching.fetch import FEED
from viral.fetching.hosts import AllowedHosts
from viral.storage.lock import exclusive
from viral.storage.store import Store
from viral.tables.bucketed import log2_buckets_for
from viral.tables.places import fetches_table, posts_table
from viral.tables.posts import no_posts_error
from viral.tables.run_log import RunRecorder, record_run
from viral.tables.staging import staging_folder

MAX_ROUNDS = 3  # the requested URLs, then the entries of feeds, then the entries of feeds in feeds


@dataclass(frozen=True)
class FetchRequest:
    """URLs to fetch, and how to fetch them.

    Args:
        urls: URLs of videos, pages or feeds.
        list_file: path or `s3://` URI of a file with one URL per line.
        posts: also fetch the pages of all posts without a video, and the slides and sounds of photo sets.
        allowed: hosts, with their subdomains, whose terms of use the user accepts.
        rate: requests per second and allowed host, from the whole cluster.
        retry_failed: retry URLs that failed or were skipped before.
        cookie_text: content of a cookie file.
    """

    urls: tuple[str, ...] = ()
    list_file: str | None = None
    posts: bool = False
    allowed: tuple[str, ...] = ()
    rate: float = 1.0
    retry_failed: bool = False
    cookie_text: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if not (self.urls or self.list_file or self.posts):
            raise ConfigError("nothing to fetch: name a URL, --list FILE or --posts")
        if not (math.isfinite(self.rate) and self.rate > 0):
            raise ConfigError(f"--rate {self.rate:g} is not a positive number of requests per second")


@dataclass
class FetchSummary:
    """Counts of a run: `urls = done_before + failed_before + feeds + done + skipped + failed`.

    `reasons` are those of skipped and failed URLs, and of videos that are not as their page declares them.
    """

    urls: int = 0
    done_before: int = 0
    failed_before: int = 0
    feeds: int = 0
    done: int = 0
    skipped: int = 0
    failed: int = 0
    reasons: dict[str, int] = field(default_factory=dict)
    bytes: int = 0
    posts_with_video: int = 0
    posts_with_slides: int = 0
    hosts: dict[str, dict[str, int]] = field(default_factory=dict)
    wall_seconds: float = 0.0


def run(
    store: Store,
    request: FetchRequest,
    settings: Settings,
    *,
    address: str | None = None,
    progress: ProgressCallback = lambda _done, _total: None,
    debug: bool = False,
) -> FetchSummary:
    """Fetch the URLs that are not in the ledger. Feeds are always read again. A repeated call resumes a killed run.

    Runs on one root wait for each other: together they would send more requests to a host than `rate` allows.

    Raises:
        ConfigError: a host is not allowed, or an entry is not a URL. TableError: `posts` is set, but there are none.
    """
    started = time.monotonic()
    summary = FetchSummary()
    with exclusive(store, "fetch"), staging_folder(store, "fetch") as folder:
        plan, posts_log2_buckets = _plan(store, request, folder)
        stage_urls(plan, _urls(request))  # before Ray starts, because bad URLs fail here
        with session(address, store, debug=debug):
            if request.posts:
                stage_posts(plan, posts_log2_buckets)
                stage_photo_sets(plan, posts_log2_buckets)
            # Posts are attached to files only at the end, from the results of all rounds.
            rounds = _run_rounds(plan, request, settings, summary, progress)
            for counts, size in count_results(plan, rounds):
                _add_counts(summary, counts, size)
            merge = partial(fetches_table(store).merge, None, plan.log2_buckets)  # the ledger files of all tasks
            list(map_buckets(merge, plan.log2_buckets))
            if request.posts:
                summary.posts_with_video = attach_videos(plan, posts_log2_buckets)
                summary.posts_with_slides = attach_photo_sets(plan, posts_log2_buckets)
        fetches_table(store).drop_superseded(plan.log2_buckets)
    summary.wall_seconds = time.monotonic() - started
    return summary


def _plan(store: Store, request: FetchRequest, staging: str) -> tuple[FetchPlan, int]:
    """Build the plan, with enough buckets for the URLs and the ledger; also return the log2 buckets of the posts."""
    posts = posts_table(store).stored_rows() if request.posts else 0
    if request.posts and not posts:
        raise no_posts_error(store)
    rows = fetches_table(store).stored_rows() + sum(1 for _ in _urls(request)) + posts
    return FetchPlan(store, staging, AllowedHosts(request.allowed), log2_buckets_for(rows)), log2_buckets_for(posts)


def _urls(request: FetchRequest) -> Iterator[str]:
    return itertools.chain(request.urls, read_url_list(request.list_file) if request.list_file else ())


def _run_rounds(
    plan: FetchPlan, request: FetchRequest, settings: Settings, summary: FetchSummary, progress: ProgressCallback
) -> int:
    """Fetch the requested URLs, then the entries of feeds, and so on; return the number of rounds."""
    sites = SiteFetcher(plan, settings, request.rate, request.cookie_text)
    for round_ in range(MAX_ROUNDS):
        counts = plan_round(plan, round_, retry_failed=request.retry_failed)
        for states in counts.values():
            summary.urls += states.total()
            summary.done_before += states["done"]
            summary.failed_before += states["failed"]
            summary.skipped += states["refused"]
            _add_reasons(summary, HostNotAllowedError.reason, states["refused"])
        # Empty once the feeds of the last round listed nothing new.
        todo = {site: states["todo"] for site, states in counts.items() if states["todo"]}
        if not todo:
            return round_
        sites.fetch(round_, todo, progress)
    return MAX_ROUNDS


def _add_counts(summary: FetchSummary, counts: Counter[tuple[str, str, str]], size: int) -> None:
    summary.bytes += size
    for (host, status, reason), count in counts.items():
        kind = "feeds" if reason == FEED else status
        setattr(summary, kind, getattr(summary, kind) + count)
        host_counts = summary.hosts.setdefault(host, {})
        host_counts[kind] = host_counts.get(kind, 0) + count
        if reason not in ("", FEED):
            _add_reasons(summary, reason, count)


def _add_reasons(summary: FetchSummary, reason: str, count: int) -> None:
    if count:
        summary.reasons[reason] = summary.reasons.get(reason, 0) + count


@click.command()
@click.argument("urls", nargs=-1, metavar="URL…")
@click.option("--list", "list_file", metavar="FILE", help="File with one URL per line.")
@click.option(
    "--posts",
    is_flag=True,
    help="Fetch the videos of all posts without one, from the page or else the file, and slides of photo sets.",
)
@click.option(
    "--allow-host",
    "allowed",
    multiple=True,
    metavar="HOST",
    help="Allow a site with its subdomains; you accept its terms of use. Repeatable.",
)
@click.option("--rate", default=1.0, show_default=True, help="Requests per second to a site, from the whole cluster.")
@click.option("--retry-failed", is_flag=True, help="Retry URLs that failed or were skipped before.")
@click.option("--cookies", "cookie_file", metavar="FILE", help="Cookie file in Netscape's format, of mode 600.")
@ray_options
@root_options
def command(
    urls: tuple[str, ...],
    list_file: str | None,
    posts: bool,
    allowed: tuple[str, ...],
    rate: float,
    retry_failed: bool,
    cookie_file: str | None,
    root: str,
    address: str | None,
    as_json: bool,
    debug: bool,
) -> None:
    """Download videos into the root, by URL of a file, a page or a feed.

    Videos are stored in videos/, named by their SHA-256, with info files that `viral ingest ROOT/videos` reads.
    The table `fetches` records every URL: a downloaded one is not fetched again, a failed one only with --retry-failed.
    """
    cookie_text = read_cookies(Path(cookie_file)) if cookie_file else None
    request = FetchRequest(urls, list_file, posts, allowed, rate, retry_failed, cookie_text)
    store, settings, bar = Store.open(root), load(), progress_bar("fetch", unit="video")

    def work(record: RunRecorder) -> FetchSummary:
        """Fetch, with progress on the terminal and in the run log."""
        progress = record.progress_with(bar)
        return run(store, request, settings, address=address, progress=progress, debug=debug)

    summary = record_run(store, "fetch", work)
    print_summary(summary, as_json=as_json)
    if summary.failed and not summary.done + summary.feeds + summary.skipped:
        raise all_failed(summary.failed, "URLs failed", summary.reasons)


if __name__ == "__main__":
    execute(command)
