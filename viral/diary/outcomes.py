"""What became of kept drafts: the post of each, found by link, by hash or as a near-duplicate, and its label."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from viral.diary.drafts import load_drafts
from viral.duplicates.pairs import near_duplicates
from viral.duplicates.perceptual_hash import VIDEO_HASH
from viral.errors import ViralError
from viral.labels.fitting import FittedLabel
from viral.queries.catalog import catalog
from viral.registry.registry import Registry
from viral.storage.store import Store
from viral.tables.places import posts_table

FoundBy = Literal["link", "same file", "near-duplicate"]
State = Literal["counted", "not posted", "posted before", "too young", "no label", "unlike training"]
"""Why a draft counts, or does not: no post of it was found; it was posted before it was scored, so that its score is no
prediction; the counts of its post are too young; its post lacks what the label needs; the model called it unknown."""

MATURE_DAYS = 7.0  # of a post's counts: most views of a short video come in its first week
_SLACK = timedelta(hours=1)  # clocks of scrapers and of this machine differ
_PAGE_ID = re.compile(r"/(?:video|photo|reel|p|shorts)/([\w-]+)|[?&]v=([\w-]+)")


@dataclass(frozen=True)
class DraftOutcome:
    """A kept draft, and the post that it became.

    Attributes:
        draft: its row of the table `drafts`.
        state: why it counts, or does not.
        post_id: its post, if one was found.
        found_by: how.
        posted_at: when the post appeared.
        target: what the post reached, in the units of the label.
        is_viral: by the label of the model.
    """

    draft: Mapping[str, Any]
    state: str
    post_id: str | None = None
    found_by: str | None = None
    posted_at: datetime | None = None
    target: float | None = None
    is_viral: bool | None = None

    @property
    def inside(self) -> bool | None:
        """Whether the interval held."""
        return None if self.target is None else bool(self.draft["low"] <= self.target <= self.draft["high"])


def outcomes(store: Store) -> list[DraftOutcome]:
    """Join all kept drafts to their posts.

    Reads of the posts the columns that labels need, and of the features the hashes, of posts that appeared since the
    first draft was kept.
    """
    drafts = load_drafts(store).to_pylist()
    if not drafts:
        return []
    posts = posts_table(store).read()
    rows = {row["post_id"]: row for row in posts.select(_COLUMNS).to_pylist()}
    found = _by_video(store, drafts, rows) | _by_link(drafts, rows)  # a link is the creator's own word
    labels = _Labels(store, posts)
    return [_outcome(draft, rows, labels, *found.get(draft["draft_id"], (None, None))) for draft in drafts]


_COLUMNS = ["post_id", "author_id", "page_url", "posted_at", "scraped_at"]
_Found = dict[str, tuple[str, str]]
_Rows = Mapping[str, Mapping[str, Any]]


def _outcome(
    draft: Mapping[str, Any], posts: _Rows, labels: _Labels, post_id: str | None, found_by: str | None
) -> DraftOutcome:
    if post_id is None:
        return DraftOutcome(draft, "not posted")
    post = posts[post_id]
    posted_at, scraped_at = post["posted_at"], post["scraped_at"]
    target, is_viral = labels.of(draft["model"], post_id)
    if posted_at is None or posted_at < draft["kept_at"] - _SLACK:
        state, target, is_viral = "posted before", None, None
    elif scraped_at is None or scraped_at - posted_at < timedelta(days=MATURE_DAYS):
        state, target, is_viral = "too young", None, None
    elif target is None:
        state = "no label"
    else:
        state = "unlike training" if draft["known"] is False else "counted"
    return DraftOutcome(draft, state, post_id, found_by, posted_at, target, is_viral)


def _by_link(drafts: list[dict[str, Any]], posts: _Rows) -> _Found:
    pages = {_address(post["page_url"]): post_id for post_id, post in posts.items() if post["page_url"]}
    found: _Found = {}
    for draft in drafts:
        link = draft["link"]
        post = pages.get(_address(link)) or _id_in(link) if link else None
        if post in posts:
            found[draft["draft_id"]] = (str(post), "link")
    return found


def _address(link: str) -> str:
    """Return an address without what differs between two links to one page."""
    return link.strip().partition("?")[0].partition("#")[0].rstrip("/").removeprefix("https://").removeprefix("www.")


def _id_in(link: str) -> str | None:
    match = _PAGE_ID.search(link)
    return (match[1] or match[2]) if match else link.strip()


def _by_video(store: Store, drafts: list[dict[str, Any]], posts: _Rows) -> _Found:
    """Find the posts with the video of a draft: the earliest one by its creator, or else by anybody."""
    first = min(draft["kept_at"] for draft in drafts) - _SLACK
    since = {post_id for post_id, post in posts.items() if post["posted_at"] and post["posted_at"] >= first}
    videos = _videos(store, since)
    matches: dict[str, list[tuple[str, str]]] = {}
    by_hash: dict[str, list[str]] = {}
    for video in videos:
        by_hash.setdefault(video["sha256"] or "", []).append(video["post_id"])
    for draft in drafts:
        same = by_hash.get(draft["sha256"], []) if draft["sha256"] else []
        matches[draft["draft_id"]] = [(post, "same file") for post in same]
    for draft_id, post in _near(drafts, videos):
        matches[draft_id].append((post, "near-duplicate"))

    creators = {draft["draft_id"]: draft["creator"] for draft in drafts}

    def order(draft_id: str, match: tuple[str, str]) -> tuple[bool, bool, datetime]:
        """Posts of the creator first, then the file itself, then the earliest."""
        post = posts[match[0]]
        return post["author_id"] != creators[draft_id], match[1] != "same file", post["posted_at"] or _LATEST

    return {
        draft_id: min(found, key=lambda match, draft_id=draft_id: order(draft_id, match))  # type: ignore[misc]  # of a default of a lambda
        for draft_id, found in matches.items()
        if found
    }


_LATEST = datetime.max.replace(tzinfo=UTC)


def _videos(store: Store, post_ids: set[str]) -> list[dict[str, Any]]:
    """Return the newest facts of the videos of some posts, each post once, from all feature tables."""
    wanted, found = pa.array(sorted(post_ids), pa.string()), dict[str, dict[str, Any]]()
    for name, table in catalog(store).items():
        if name.startswith("features_"):
            for rows in table.table.scan(["post_id", "sha256", "video_hash", "seen_seconds"]):
                for row in rows.filter(pc.is_in(rows["post_id"], wanted)).to_pylist():
                    known = found.get(row["post_id"])
                    if known is None or known["video_hash"] is None:
                        found[row["post_id"]] = row
    return list(found.values())


def _near(drafts: list[dict[str, Any]], videos: list[dict[str, Any]]) -> Iterator[tuple[str, str]]:
    """Yield pairs of a draft and a post that shows a near-duplicate of its video."""
    ours = [draft for draft in drafts if draft["video_hash"] and draft["seconds"]]
    theirs = [video for video in videos if video["video_hash"] and video["seen_seconds"]]
    if not ours or not theirs:
        return
    hashes = np.frombuffer(b"".join(row["video_hash"] for row in (*ours, *theirs)), VIDEO_HASH)
    seconds = np.array([*(row["seconds"] for row in ours), *(row["seen_seconds"] for row in theirs)])
    pairs = near_duplicates(hashes, seconds)
    for first, second in zip(pairs.first.tolist(), pairs.second.tolist(), strict=True):
        if first < len(ours) <= second:
            yield ours[first]["draft_id"], theirs[second - len(ours)]["post_id"]


class _Labels:
    """Labels of posts by the fitted label of each model."""

    def __init__(self, store: Store, posts: pa.Table) -> None:
        self._store, self._posts = store, posts
        self._known: dict[str, dict[str, tuple[float, bool]]] = {}

    def of(self, model: str, post_id: str) -> tuple[float | None, bool | None]:
        """Return target and `is_viral` of a post; None for one without a label, or of a model that is gone."""
        if model not in self._known:
            self._known[model] = self._apply(model)
        return self._known[model].get(post_id, (None, None))

    def _apply(self, model: str) -> dict[str, tuple[float, bool]]:
        try:
            registry = Registry(self._store)
            label = registry.card(*registry.resolve(model))["label"]
            applied = FittedLabel.from_dict(label["fitted"]).apply(self._posts)
        except (ViralError, KeyError):  # the model was removed, or is of a time without fitted labels
            return {}
        posts = self._posts["post_id"].filter(pa.array(applied.mask)).to_pylist()
        pairs = zip(applied.target.tolist(), applied.is_viral.tolist(), strict=True)
        return dict(zip(posts, pairs, strict=True))
