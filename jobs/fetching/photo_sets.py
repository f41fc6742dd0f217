"""Photo sets of a fetch: their pictures and sounds are fetched like other URLs, then put together by post."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import pyarrow as pa

from jobs.fetching.plan import MAX_HOSTS_IN_ERROR, FetchPlan, stage_tasks
from jobs.runtime.buckets import map_buckets
from viral.errors import BadAddressError, HostNotAllowedError
from viral.fetching.hosts import not_allowed_error, strip_fragment, url_host
from viral.tables.bucketed import BucketedTable
from viral.tables.places import posts_table
from viral.tables.posts import is_web_address
from viral.tables.schemas import PHOTOS, POST_SLIDES, TIMESTAMP

_SOUND = -1  # number of the sound among the parts of a post; slides count from 0
_PARTS = pa.schema(
    [
        pa.field("url", pa.string(), nullable=False),
        pa.field("part", pa.string(), nullable=False),  # post and number: posts may share a URL
        pa.field("post_id", pa.string(), nullable=False),
        pa.field("number", pa.int32(), nullable=False),
    ]
)
_FETCHED = pa.schema(
    [
        pa.field("post_id", pa.string(), nullable=False),
        pa.field("number", pa.int32(), nullable=False),
        pa.field("uri", pa.string(), nullable=False),
        pa.field("fetched_at", TIMESTAMP, nullable=False),
    ]
)


def stage_photo_sets(plan: FetchPlan, posts_log2_buckets: int) -> None:
    """Stage the pictures and sounds of all photo sets that are web addresses.

    Raises:
        ConfigError: the host of one is not allowed.
    """
    # The hosts of all posts, so that one error names what is missing, before anything is fetched.
    unknown = set[str]()
    for hosts in map_buckets(partial(_stage, plan, posts_log2_buckets), posts_log2_buckets):
        unknown.update(hosts)
    if unknown:
        raise not_allowed_error(sorted(unknown)[:MAX_HOSTS_IN_ERROR])


def attach_photo_sets(plan: FetchPlan, posts_log2_buckets: int) -> int:
    """Store the slides of each photo set of which all are fetched, and its sound if it is; return how many are new."""
    # Results come lazily: the list waits for all of them before the merge reads what they wrote.
    list(map_buckets(partial(_stage_fetched, plan, posts_log2_buckets), plan.log2_buckets))
    attached = sum(map_buckets(partial(_attach, plan, posts_log2_buckets), posts_log2_buckets))
    posts_table(plan.store).photo_sets.drop_superseded(posts_log2_buckets)
    return attached


def _parts(plan: FetchPlan) -> BucketedTable:
    prefix = f"{plan.staging}/parts"
    # With history, because several posts may have the same picture or sound: each needs its row.
    return BucketedTable(plan.store, prefix, _PARTS, key="url", newest_by="part", history=True)


def _fetched(plan: FetchPlan) -> BucketedTable:
    prefix = f"{plan.staging}/fetched"
    return BucketedTable(plan.store, prefix, _FETCHED, key="post_id", newest_by="number", history=True)


def _read_posts(plan: FetchPlan, log2_buckets: int, bucket: int) -> list[dict[str, Any]]:
    posts = posts_table(plan.store).read(log2_buckets, bucket, ["post_id", "kind", "slides", "sound_uri"])
    return [post for post in posts.to_pylist() if post["kind"] == PHOTOS and post["slides"]]


def _web_parts(post: dict[str, Any]) -> Iterator[tuple[int, str]]:
    uris = {_SOUND: post["sound_uri"], **dict(enumerate(post["slides"]))}
    return ((number, strip_fragment(uri)) for number, uri in uris.items() if uri and is_web_address(uri))


def _stage(plan: FetchPlan, log2_buckets: int, bucket: int) -> list[str]:
    tasks: list[dict[str, Any]] = []
    parts, unknown = [], set[str]()
    for post in _read_posts(plan, log2_buckets, bucket):
        for number, url in _web_parts(post):
            try:
                tasks.append({"url": url, "site": plan.hosts.site(url), "part": True})
            except HostNotAllowedError:
                unknown.add(url_host(url))
            except BadAddressError:
                continue  # `viral backfill` names it
            part = f"{post['post_id']} {number}"
            parts.append({"url": url, "part": part, "post_id": post["post_id"], "number": number})
    stage_tasks(plan, tasks)
    # In buckets of URLs, in which the ledger is read; `_stage_fetched` turns them into buckets of posts.
    _parts(plan).append(pa.Table.from_pylist(parts, schema=_PARTS), plan.log2_buckets)
    return sorted(unknown)[:MAX_HOSTS_IN_ERROR]


def _stage_fetched(plan: FetchPlan, posts_log2_buckets: int, bucket: int) -> None:
    parts = _parts(plan).versions(plan.log2_buckets, bucket).to_pylist()
    ledger = plan.ledger(bucket, ["url", "video_uri", "fetched_at"]) if parts else {}
    rows = [
        {"post_id": part["post_id"], "number": part["number"], "uri": row["video_uri"], "fetched_at": row["fetched_at"]}
        for part in parts
        if (row := ledger.get(part["url"])) and row["video_uri"]
    ]
    _fetched(plan).append(pa.Table.from_pylist(rows, schema=_FETCHED), posts_log2_buckets)


def _attach(plan: FetchPlan, log2_buckets: int, bucket: int) -> int:
    fetched: dict[str, dict[int, dict[str, Any]]] = {}
    for row in _fetched(plan).versions(log2_buckets, bucket).to_pylist():
        fetched.setdefault(row["post_id"], {})[row["number"]] = row
    posts = _read_posts(plan, log2_buckets, bucket) if fetched else []
    rows = [_complete(post, fetched[post["post_id"]]) for post in posts if post["post_id"] in fetched]
    complete = pa.Table.from_pylist([row for row in rows if row], schema=POST_SLIDES)
    return posts_table(plan.store).photo_sets.merge(complete, log2_buckets, bucket)


def _complete(post: dict[str, Any], fetched: dict[int, dict[str, Any]]) -> dict[str, Any] | None:
    """Row of a photo set with fetched files in place of web addresses; None while a slide is missing."""
    slides = [fetched[i]["uri"] if i in fetched else uri for i, uri in enumerate(post["slides"])]
    # A set with a gap is no set yet: the next fetch may complete it.
    if any(map(is_web_address, slides)):
        return None
    sound = fetched[_SOUND]["uri"] if _SOUND in fetched else None
    newest = max(row["fetched_at"] for row in fetched.values())
    return {"post_id": post["post_id"], "slides": slides, "sound_uri": sound, "fetched_at": newest}
