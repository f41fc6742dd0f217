"""Fetch the planned URLs of a round: of a single site in this process, of several in one Ray task each."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from jobs.fetching.plan import FetchPlan, stage_listed_urls
from jobs.fetching.rate_limit import RateLimiterActor, RemoteRateLimiter
from jobs.runtime.session import connect, on_cluster
from viral.config import Settings
from viral.console.output import ProgressCallback
from viral.fetching.fetch import Fetcher, FetchTask
from viral.fetching.ledger import Ledger
from viral.fetching.rate_limit import RateLimiter, TokenBuckets

MAX_CONNECTIONS = 8  # per site; browsers open six
CPUS_PER_SITE = 0.25  # a task mostly waits for the network, so four can share a core


@dataclass(frozen=True)
class SiteFetcher:
    """Fetches the planned URLs of sites, at most `rate` requests per second and host."""

    plan: FetchPlan
    settings: Settings
    rate: float
    cookie_text: str | None = field(default=None, repr=False)

    def fetch(self, round_: int, todo: dict[str, int], progress: ProgressCallback) -> None:
        """Fetch a round; `todo` counts the URLs of each site."""
        progress(0, total := sum(todo.values()))
        # A single site, unless on a cluster, is left to this process: Ray takes seconds to start.
        if len(todo) == 1 and not on_cluster():
            (site,), finished = todo, itertools.count(1)
            self.fetch_site(round_, site, TokenBuckets(self.rate), lambda: progress(next(finished), total))
        else:
            # A restarted task counts some URLs twice.
            self._fetch_on_ray(round_, todo, lambda done: progress(min(done, total), total))
        progress(total, total)

    def fetch_site(self, round_: int, site: str, limiter: RateLimiter, count: Callable[[], object]) -> None:
        """Fetch the URLs of a site, and call `count` after each."""
        connections = min(MAX_CONNECTIONS, math.ceil(self.rate))  # one per request per second
        plan, cookies = self.plan, self.cookie_text
        fetcher = Fetcher(plan.store, self.settings, plan.hosts, limiter, cookie_text=cookies, connections=connections)
        with fetcher, Ledger(plan.store, plan.log2_buckets) as ledger:
            for result in fetcher.fetch_all(self._remaining_tasks(round_, site)):
                stage_listed_urls(plan, round_ + 1, result.listed_urls)
                ledger.add(result)
                count()

    def _fetch_on_ray(self, round_: int, sites: Iterable[str], progress: Callable[[int], None]) -> None:
        """Run one task per site. All tasks share a rate limiter: several sites may redirect to the same host."""
        import ray

        connect()
        # Ray restarts a lost actor, which then does not know of earlier requests and starts to count at zero.
        limiter = ray.remote(num_cpus=0, max_restarts=-1, max_task_retries=-1)(RateLimiterActor).remote(self.rate)
        task = ray.remote(_fetch_site).options(num_cpus=CPUS_PER_SITE)
        running = [task.remote(self, round_, site, limiter) for site in sites]
        while running:
            finished, running = ray.wait(running, timeout=1)  # in seconds, between updates of the progress bar
            ray.get(finished)
            progress(ray.get(limiter.finished.remote()))
        ray.kill(limiter)

    def _remaining_tasks(self, round_: int, site: str) -> Iterator[FetchTask]:
        """Yield the tasks of a site, without those that this Ray task finished before it was restarted."""
        plan = self.plan
        for bucket in range(1 << plan.log2_buckets):
            rows = plan.todo(round_, site).read(plan.log2_buckets, bucket).to_pylist()
            ledger = plan.ledger(bucket, ["url", "attempts"]) if rows else {}
            for row in rows:
                if row["url"] not in ledger or ledger[row["url"]]["attempts"] <= row["attempts"]:
                    yield FetchTask(row["url"], site, row["post_id"], row["attempts"], bool(row["part"]))


def _fetch_site(sites: SiteFetcher, round_: int, site: str, limiter: Any) -> None:
    sites.fetch_site(round_, site, RemoteRateLimiter(limiter), limiter.count.remote)
