"""Addresses of videos, pages and feeds → videos in the root, and a ledger of what became of each."""

from __future__ import annotations

import hashlib
import itertools
import json
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import click

from jobs.fetching import plan as plans
from jobs.fetching.gate import Gate, Turns
from jobs.fetching.plan import Plan
from jobs.runtime.buckets import over_buckets
from jobs.runtime.session import session
from viral.config import Settings, load
from viral.console.commands import execute
from viral.console.options import common, on_ray
from viral.console.output import bar, say
from viral.errors import ConfigError, HostNotAllowedError, TableError
from viral.fetching import cookies
from viral.fetching.fetch import FEED, Fetcher, Wanted
from viral.fetching.hosts import Hosts
from viral.fetching.ledger import Ledger
from viral.storage.store import Store
from viral.tables.bucketed import bits_for
from viral.tables.places import fetches_table, posts_table

ROUNDS = 3  # what was asked for, what its feeds list, and what the feeds among those list
CONNECTIONS = 8  # at most at once to a site, where its rate needs as many
CPUS_A_SITE = 0.25  # it waits for the network most of its time


@dataclass(frozen=True)
class Request:
    """What to fetch, and from where it may come.

    Args:
        urls: addresses of videos, pages or feeds.
        list_file: a file of such, one a line; a path or an `s3://` address.
        posts: the pages of all posts without a video, too.
        allowed: hosts, each with its subdomains, whose terms of use the user takes upon themself.
        rate: requests a second and allowed host, over the whole cluster.
        retry_failed: try again what failed or was skipped before.
        cookie_text: the content of a cookie file.
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
            raise ConfigError(f"--rate {self.rate:g} is no number of requests a second above 0")


@dataclass
class FetchSummary:
    """What became of every address: `urls = done_before + failed_before + feeds + done + skipped + failed`."""

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
    hosts: dict[str, dict[str, int]] = field(default_factory=dict)
    wall_seconds: float = 0.0


Progress = Callable[[int, int], None]
"""Called with the addresses done so far and all that are to do."""


def run(
    store: Store,
    request: Request,
    settings: Settings,
    *,
    address: str | None = None,
    progress: Progress = lambda _done, _all: None,
    debug: bool = False,
) -> FetchSummary:
    """Fetch what is not in the ledger yet. The same call after a kill goes on; feeds are looked at again each time.

    Raises:
        ConfigError: a host that is not allowed, or no address. TableError: no posts, where those are asked for.
    """
    started = time.monotonic()
    plan, posts_bits = _plan(store, request)
    summary = FetchSummary()
    store.delete_below(plan.staging)
    try:
        plans.want_addresses(plan, _addresses(request))
        with session(address, debug=debug):
            if request.posts:
                plans.want_posts(plan, posts_bits)
            rounds = _rounds(plan, request, settings, summary, progress)
            for row in plans.tally(plan, rounds):
                _add(summary, row)
            list(over_buckets(partial(_compact, store, plan.bits), plan.bits))
            if request.posts:
                summary.posts_with_video = plans.attach(plan, posts_bits)
        fetches_table(store).sweep(plan.bits)
    finally:
        store.delete_below(plan.staging)
    summary.wall_seconds = time.monotonic() - started
    return summary


def _plan(store: Store, request: Request) -> tuple[Plan, int]:
    """The plan, its buckets so many that those of the addresses and those of the ledger are small enough."""
    posts = sum(part.rows for part in posts_table(store).parts()) if request.posts else 0
    if request.posts and not posts:
        raise TableError(f"the posts table of {store.root} is empty: ingest some first (viral ingest)")
    known = sum(part.rows for part in fetches_table(store).parts())
    count = sum(1 for _ in _addresses(request)) + posts
    name = json.dumps([request.urls, request.list_file, request.posts, request.allowed])
    staging = f"staging/fetch-{hashlib.sha256(name.encode()).hexdigest()[:16]}"
    return Plan(store, staging, Hosts(request.allowed), bits_for(known + count)), bits_for(posts)


def _addresses(request: Request) -> Iterator[str]:
    return itertools.chain(request.urls, plans.listed(request.list_file) if request.list_file else ())


def _rounds(plan: Plan, request: Request, settings: Settings, summary: FetchSummary, progress: Progress) -> int:
    """Fetch what is wanted, then what feeds among it list, and so on; the number of rounds."""
    for round_ in range(ROUNDS):
        counts = plans.plan_round(plan, round_, retry_failed=request.retry_failed)
        for states in counts.values():
            summary.urls += states.total()
            summary.done_before += states["done"]
            summary.failed_before += states["failed"]
            summary.skipped += states["refused"]
            _add_reasons(summary, HostNotAllowedError.reason, states["refused"])
        todo = {site: states["todo"] for site, states in counts.items() if states["todo"]}
        if not todo:
            return round_
        _fetch(plan, round_, todo, request, settings, progress)
    return ROUNDS


def _fetch(
    plan: Plan, round_: int, todo: dict[str, int], request: Request, settings: Settings, progress: Progress
) -> None:
    """A task for each site, all at the pace of one actor, so that what many sites lead to is not asked by each."""
    import ray

    gate = ray.remote(Gate).options(num_cpus=0, max_restarts=-1, max_task_retries=-1).remote(request.rate)
    task = ray.remote(_fetch_site).options(num_cpus=CPUS_A_SITE)
    waiting = [task.remote(plan, round_, site, request, settings, gate) for site in todo]
    progress(0, total := sum(todo.values()))
    while waiting:
        ended, waiting = ray.wait(waiting, timeout=1)
        ray.get(ended)
        # No more than there are: an actor that was started again counts from there, a task from what is left.
        progress(min(total, ray.get(gate.seen.remote())) if waiting else total, total)
    ray.kill(gate)


def _fetch_site(plan: Plan, round_: int, site: str, request: Request, settings: Settings, gate: Any) -> None:
    connections = min(CONNECTIONS, math.ceil(request.rate))
    with (
        Fetcher(
            plan.store,
            settings,
            plan.hosts,
            Turns(gate),
            cookie_text=request.cookie_text,
            connections=connections,
        ) as fetcher,
        Ledger(plan.store, plan.bits) as ledger,
    ):
        for outcome in fetcher.run(_left(plan, round_, site)):
            plans.want_found(plan, round_ + 1, outcome.found)
            ledger.add(outcome)
            gate.count.remote()


def _left(plan: Plan, round_: int, site: str) -> Iterator[Wanted]:
    """What is to do, bucket by bucket, less what an earlier run of this task did before its machine was lost."""
    for bucket in range(1 << plan.bits):
        rows = plan.todo(round_, site).read(plan.bits, bucket).to_pylist()
        now = plan.ledger(bucket, ["url", "attempts"]) if rows else {}
        for row in rows:
            if row["url"] not in now or now[row["url"]]["attempts"] <= row["attempts"]:
                yield Wanted(row["url"], site, row["post_id"], row["attempts"])


def _compact(store: Store, bits: int, bucket: int) -> dict[str, int]:
    return {"changed": fetches_table(store).merge(None, bits, bucket)}


def _add(summary: FetchSummary, row: dict[str, Any]) -> None:
    summary.bytes += int(row["bytes"])
    for line in str(row["counts"]).splitlines():
        host, status, reason, text = line.split("\t")
        count, what = int(text), "feeds" if reason == FEED else status
        setattr(summary, what, getattr(summary, what) + count)
        of_host = summary.hosts.setdefault(host, {})
        of_host[what] = of_host.get(what, 0) + count
        if status != "done":
            _add_reasons(summary, reason, count)


def _add_reasons(summary: FetchSummary, reason: str, count: int) -> None:
    if count:
        summary.reasons[reason] = summary.reasons.get(reason, 0) + count


@click.command()
@click.argument("urls", nargs=-1, metavar="URL…")
@click.option("--list", "list_file", metavar="FILE", help="Addresses from a file, one a line.")
@click.option("--posts", is_flag=True, help="The pages of all posts that have no video.")
@click.option(
    "--allow-host",
    "allowed",
    multiple=True,
    metavar="HOST",
    help="A site to fetch from, with its subdomains; its terms of use are yours to honour. Repeat for more.",
)
@click.option("--rate", default=1.0, show_default=True, help="Requests a second to a site, over the whole cluster.")
@click.option("--retry-failed", is_flag=True, help="Try again what failed or was skipped before.")
@click.option("--cookies", "cookie_file", metavar="FILE", help="Cookies in Netscape's format; yours alone (mode 600).")
@on_ray
@common
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
    """Bring videos into the root, by address of a file, a page or a feed.

    They go to videos/, each once, named by its SHA-256, with an info file that `viral ingest yt_dlp ROOT/videos` reads.
    The table `fetches` keeps what became of each address: what is done is not fetched again, what failed only with
    --retry-failed.
    """
    text = cookies.read(Path(cookie_file)) if cookie_file else None
    request = Request(urls, list_file, posts, allowed, rate, retry_failed, text)
    progress = bar("fetch", unit="video")
    say(run(Store.open(root), request, load(), address=address, progress=progress, debug=debug), as_json=as_json)


if __name__ == "__main__":
    execute(command)
