"""What a fetch has to do: what is wanted, less what the ledger says is done; and what comes of it for the posts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from jobs.runtime.buckets import over_buckets
from viral.errors import BadAddressError, ConfigError, HostNotAllowedError, SourceError
from viral.fetching.fetch import FEED
from viral.fetching.hosts import Hosts, host_of, plain, refused
from viral.storage.store import Store, open_any
from viral.tables.bucketed import Parts
from viral.tables.places import fetches_table, posts_table
from viral.tables.schemas import FETCHES, POSTS

BATCH = 50_000  # addresses held at once
NAMED = 5  # hosts that an error names

WANTED = pa.schema(
    [
        pa.field("url", pa.string(), nullable=False),
        pa.field("site", pa.string()),
        pa.field("post_id", pa.string()),
        pa.field("attempts", pa.int32()),
    ]
)
ATTACHED = pa.schema(
    [pa.field("post_id", pa.string(), nullable=False), pa.field("video_uri", pa.string(), nullable=False)]
)


@dataclass(frozen=True)
class Plan:
    """The tables of one run, in its staging folder."""

    store: Store
    staging: str
    hosts: Hosts
    bits: int

    def wanted(self, round_: int) -> Parts:
        """Every address of a round, done or not: the first is what was asked for, the others what feeds list."""
        return Parts(self.store, f"{self.staging}/wanted/{round_}", WANTED, key="url")

    def todo(self, round_: int, site: str = "") -> Parts:
        """What is left to do of a round, at all sites or at one."""
        # A number of IP version 6 has colons, which no file name should have.
        name = f"/{site.replace(':', '_')}" if site else ""
        return Parts(self.store, f"{self.staging}/todo/{round_}{name}", WANTED, key="url", nested=True)

    def ledger(self, bucket: int, columns: Sequence[str]) -> dict[str, dict[str, Any]]:
        """What is known of the addresses of one bucket."""
        rows = fetches_table(self.store).read(self.bits, bucket, columns).to_pylist()
        return {row["url"]: row for row in rows}

    def attached(self) -> Parts:
        """The posts that have a video now."""
        return Parts(self.store, f"{self.staging}/attached", ATTACHED, key="post_id")


def want_addresses(plan: Plan, addresses: Iterable[str]) -> None:
    """Stage addresses, a batch at a time.

    Raises:
        ConfigError: one is no http(s) address, or of a host that is not allowed.
    """
    addresses = iter(addresses)
    unknown: set[str] = set()
    while batch := list(islice(addresses, BATCH)):
        rows = []
        for url in map(plain, batch):
            try:
                rows.append({"url": url, "site": plan.hosts.site(url)})
            except HostNotAllowedError:
                unknown.add(host_of(url))
            except BadAddressError as error:
                raise ConfigError(f"{error}: correct it") from error
        if len(unknown) >= NAMED:
            break
        plan.wanted(0).append(_table(rows), plan.bits)
    if unknown:
        raise refused(unknown)


def listed(file: str) -> Iterator[str]:
    """The addresses of a file, one a line; empty lines and such that begin with # are none.

    Raises:
        SourceError: it cannot be read.
    """
    try:
        stream = open_any(file if file.startswith("s3://") else str(Path(file).expanduser()))
    except OSError as error:
        raise SourceError(f"cannot read the list {file}: {error.strerror or error}") from error
    with stream:
        for line in stream:
            text = line.decode("utf-8", "replace").strip()
            if text and not text.startswith("#"):
                yield text


def want_found(plan: Plan, round_: int, urls: Iterable[str]) -> None:
    """Stage what a feed lists; an address of a host that is not allowed belongs to no site, and is skipped."""
    rows = []
    for url in map(plain, urls):
        try:
            rows.append({"url": url, "site": plan.hosts.site(url)})
        except HostNotAllowedError:
            rows.append({"url": url})
        except BadAddressError:
            continue
    plan.wanted(round_).append(_table(rows), plan.bits)


def want_posts(plan: Plan, posts_bits: int) -> int:
    """Stage the pages of posts without a video; how many posts these are.

    Raises:
        ConfigError: a page is of a host that is not allowed.
    """
    rows = list(over_buckets(partial(_want_posts, plan, posts_bits), posts_bits))
    if unknown := {host for row in rows for host in str(row["unknown"]).split()}:
        raise refused(sorted(unknown)[:NAMED])
    return sum(int(row["posts"]) for row in rows)


def _want_posts(plan: Plan, bits: int, bucket: int) -> dict[str, Any]:
    posts = posts_table(plan.store).read(bits, bucket, ["post_id", "page_url", "video_uri"])
    rows, unknown = [], set[str]()
    for post in posts.filter(_without_video(posts)).to_pylist():
        url = plain(post["page_url"] or post["video_uri"] or "")
        try:
            rows.append({"url": url, "site": plan.hosts.site(url), "post_id": post["post_id"]})
        except HostNotAllowedError:
            unknown.add(host_of(url))
        except BadAddressError:
            continue  # no address at all: `viral backfill` says missing_object of such a post
    plan.wanted(0).append(_table(rows), plan.bits)
    return {"posts": len(rows), "unknown": " ".join(sorted(unknown)[:NAMED])}


def _without_video(posts: pa.Table) -> pa.Array:
    """Whether a post has no video, or one that lies on the web."""
    return pc.or_kleene(pc.is_null(posts["video_uri"]), pc.match_substring_regex(posts["video_uri"], "^https?://"))


def plan_round(plan: Plan, round_: int, *, retry_failed: bool) -> dict[str, Counter[str]]:
    """Stage what is to do; of each site how many addresses that is (`todo`), and how many were `done` or `failed`.

    What belongs to no site is `refused`, and in the ledger now.
    """
    counts: dict[str, Counter[str]] = {}
    for row in over_buckets(partial(_plan, plan, round_, retry_failed), plan.bits):
        for line in str(row["counts"]).splitlines():
            site, what, count = line.split("\t")
            counts.setdefault(site, Counter())[what] += int(count)
    return counts


def _plan(plan: Plan, round_: int, retry_failed: bool, bucket: int) -> dict[str, Any]:
    before = plan.ledger(bucket, ["url", "status", "reason", "attempts"])
    todo: dict[str, list[dict[str, Any]]] = {}
    refused_urls: list[str] = []
    counts: Counter[tuple[str, str]] = Counter()
    for wanted in _news(plan, round_, bucket):
        url, site = wanted["url"], wanted["site"] or ""
        then = before.get(url)
        what = _state(then, retry_failed)
        if what == "todo" and not site:
            what = "refused"
            refused_urls.append(url)
        elif what == "todo":
            todo.setdefault(site, []).append({**wanted, "attempts": then["attempts"] if then else 0})
        counts[site, what] += 1
    for site, rows in todo.items():
        plan.todo(round_, site).append(_table(rows), plan.bits)
    fetches_table(plan.store).append(_refusals(refused_urls), plan.bits)
    return {"counts": "\n".join(f"{site}\t{what}\t{count}" for (site, what), count in counts.items())}


def _news(plan: Plan, round_: int, bucket: int) -> list[dict[str, Any]]:
    """What is wanted in this round and was in none before."""
    wanted = plan.wanted(round_).read(plan.bits, bucket)
    for earlier in range(round_):
        known = plan.wanted(earlier).read(plan.bits, bucket, ["url"])["url"].combine_chunks()
        wanted = wanted.filter(pc.invert(pc.is_in(wanted["url"], known)))
    rows: list[dict[str, Any]] = wanted.to_pylist()
    return rows


def _refusals(urls: Sequence[str]) -> pa.Table:
    """The ledger's rows of what feeds list of hosts that are not allowed."""
    now, reason = datetime.now(UTC), HostNotAllowedError.reason
    rows = [
        {"url": url, "host": host_of(url), "status": "skipped", "reason": reason, "attempts": 0, "fetched_at": now}
        for url in urls
    ]
    return pa.Table.from_pylist([{name: row.get(name) for name in FETCHES.names} for row in rows], schema=FETCHES)


def _state(then: dict[str, Any] | None, retry_failed: bool) -> str:
    if then is None or then["reason"] == FEED:  # a feed may list more than it did
        return "todo"
    if then["status"] == "done":
        return "done"
    return "todo" if retry_failed else "failed"


def tally(plan: Plan, rounds: int) -> Iterator[dict[str, Any]]:
    """The ledger's row of each address that this run had to do, bucket by bucket, counted: see `_tally`."""
    for round_ in range(rounds):
        yield from over_buckets(partial(_tally, plan, round_), plan.bits)


def _tally(plan: Plan, round_: int, bucket: int) -> dict[str, Any]:
    now = plan.ledger(bucket, ["url", "host", "status", "reason", "bytes"])
    counts: Counter[tuple[str, str, str]] = Counter()
    size = 0
    for url in plan.todo(round_).read(plan.bits, bucket, ["url"])["url"].to_pylist():
        if row := now.get(url):
            counts[row["host"], row["status"], row["reason"] or ""] += 1
            size += row["bytes"] or 0
    lines = "\n".join(f"{host}\t{status}\t{reason}\t{count}" for (host, status, reason), count in counts.items())
    return {"counts": lines, "bytes": size}


def attach(plan: Plan, posts_bits: int) -> int:
    """Give the posts the videos that were fetched for them, now or before; how many got one."""
    list(over_buckets(partial(_stage_attached, plan, posts_bits), plan.bits))
    rows = over_buckets(partial(_attach, plan, posts_bits), posts_bits)
    posts = sum(int(row["posts"]) for row in rows)
    posts_table(plan.store).sweep(posts_bits)
    return posts


def _stage_attached(plan: Plan, posts_bits: int, bucket: int) -> dict[str, Any]:
    ledger = plan.ledger(bucket, ["url", "video_uri"])
    rows = [
        {"post_id": wanted["post_id"], "video_uri": row["video_uri"]}
        for wanted in plan.wanted(0).read(plan.bits, bucket, ["url", "post_id"]).to_pylist()
        if wanted["post_id"] and (row := ledger.get(wanted["url"])) and row["video_uri"]
    ]
    plan.attached().append(pa.Table.from_pylist(rows, schema=ATTACHED), posts_bits)
    return {"posts": len(rows)}


def _attach(plan: Plan, bits: int, bucket: int) -> dict[str, Any]:
    found = plan.attached().read(bits, bucket)
    table = posts_table(plan.store)
    posts = table.read(bits, bucket)
    posts = posts.filter(pc.and_(_without_video(posts), pc.is_in(posts["post_id"], found["post_id"].combine_chunks())))
    if posts.num_rows:
        uris = found["video_uri"].take(pc.index_in(posts["post_id"], found["post_id"].combine_chunks()))
        place = POSTS.get_field_index("video_uri")
        table.merge(posts.set_column(place, POSTS.field(place), uris), bits, bucket)
    return {"posts": posts.num_rows}


def _table(rows: Sequence[dict[str, Any]]) -> pa.Table:
    return pa.Table.from_pylist([{name: row.get(name) for name in WANTED.names} for row in rows], schema=WANTED)
