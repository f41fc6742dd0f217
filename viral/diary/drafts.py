"""Drafts that somebody kept: stored when they say so, and removed when they say so."""

from __future__ import annotations

import uuid
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from viral.errors import TableError
from viral.storage.store import Store
from viral.tables.bucketed import bucket_of
from viral.tables.places import drafts_table
from viral.tables.schemas import DRAFTS


@dataclass(frozen=True)
class KeptDraft:
    """A draft and what was predicted of it.

    Attributes:
        model: `name/version`.
        label: definition of the label, in whose units `score`, `low` and `high` (the 90 % interval) are.
        creator: `author_id` of whoever will post it.
        link: page of the post that it became.
        sha256: of its video, like `video_hash` (perceptual) and `seconds` (length).
        known: whether it was like the training posts.
    """

    model: str
    label: str
    probability: float
    score: float
    low: float
    high: float
    percentile: float | None = None
    known: bool | None = None
    title: str | None = None
    creator: str | None = None
    link: str | None = None
    sha256: str | None = None
    video_hash: bytes | None = None
    seconds: float | None = None


def keep(store: Store, draft: KeptDraft, *, now: datetime | None = None) -> str:
    """Store a draft, and return its identifier.

    Args:
        store: the root.
        draft: the draft.
        now: the time of the prediction; None: now.
    """
    time, draft_id = now or datetime.now(UTC), uuid.uuid4().hex
    _write(store, {"draft_id": draft_id, "kept_at": time, "changed_at": time, "forgotten": False, **asdict(draft)})
    return draft_id


def set_link(store: Store, draft_id: str, link: str) -> None:
    """Say which post a draft became. Raises TableError: there is no such draft."""
    row = _row(store, draft_id)
    _write(store, {**row, "link": link.strip() or None, "changed_at": datetime.now(UTC)})


def forget(store: Store, draft_id: str) -> None:
    """Remove a draft: what was stored of it is gone at once. Raises TableError: there is no such draft."""
    row = _row(store, draft_id)
    kept = {name: row[name] for name in ("draft_id", "kept_at")}
    _write(store, {**kept, "changed_at": datetime.now(UTC), "forgotten": True})


def load_drafts(store: Store) -> pa.Table:
    """Read all drafts that are kept, with the columns of `schemas.DRAFTS`, oldest first."""
    rows = drafts_table(store).read()
    return rows.filter(pc.invert(rows["forgotten"])).sort_by("kept_at")


def _row(store: Store, draft_id: str) -> dict[str, Any]:
    rows = load_drafts(store)
    found: list[dict[str, Any]] = rows.filter(pc.equal(rows["draft_id"], draft_id)).to_pylist()
    if not found:
        raise TableError("this draft is no longer kept: reload the page")
    return found[0]


def _write(store: Store, row: dict[str, Any]) -> None:
    table = drafts_table(store)
    rows = pa.Table.from_pylist([{name: row.get(name) for name in DRAFTS.names}], DRAFTS)
    bits = table.log2_buckets()
    # Merged, not appended: an older version of the row must not stay in another file.
    table.merge(rows, bits, int(bucket_of(rows["draft_id"], bits)[0]))
