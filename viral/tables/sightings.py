"""The table of sightings: posts in which the monitor found a target."""

from __future__ import annotations

import hashlib

import pyarrow as pa

from viral.storage.store import Store
from viral.tables.bucketed import BucketedTable
from viral.tables.schemas import TIMESTAMP

POSSIBLE, CONFIRMED, REJECTED = "possible", "confirmed", "rejected"
"""Status of a sighting: nobody has looked at it yet; a person said that it is right, or wrong."""

SIGHTINGS = pa.schema(
    [
        pa.field("sighting_id", pa.string(), nullable=False),
        pa.field("target", pa.string(), nullable=False),
        pa.field("model", pa.string(), nullable=False),
        pa.field("post_id", pa.string(), nullable=False),
        pa.field("feed", pa.string()),
        pa.field("page_url", pa.string()),
        pa.field("confidence", pa.float64(), nullable=False),
        pa.field("start_seconds", pa.float64(), nullable=False),
        pa.field("peak_seconds", pa.float64(), nullable=False),
        pa.field("reach", pa.float64()),
        pa.field("sha256", pa.string(), nullable=False),
        pa.field("video_hash", pa.binary()),
        pa.field("seen_seconds", pa.float64()),
        pa.field("alert_id", pa.string(), nullable=False),
        pa.field("evidence_sha256", pa.string()),
        pa.field("retain_until", TIMESTAMP, nullable=False),
        pa.field("status", pa.string(), nullable=False),
        pa.field("detected_at", TIMESTAMP, nullable=False),
        pa.field("updated_at", TIMESTAMP, nullable=False),
    ]
)
"""One target in one post.

`model` is the version of the target's detector (`flag/3`), `start_seconds` the first frame of the decision,
`peak_seconds` the frame with the highest score. `confidence` is the fraction of videos without the target that score
less; `reach` is the predicted probability of being viral, null without a model. `alert_id` is the `sighting_id` of the
first post with this video, whose alert this one belongs to. `evidence_sha256` is the hash of the bundle's manifest,
null once the bundle was deleted at `retain_until`."""


def sightings_table(store: Store) -> BucketedTable:
    """The sightings of a root, one row per target and post: the newest."""
    return BucketedTable(store, "sightings", SIGHTINGS, key="sighting_id", newest_by="updated_at")


def sighting_id(target: str, post_id: str) -> str:
    """Identify a sighting: the same target in the same post has the same id on every machine and in every run."""
    # 64 bits: even a million sightings collide with a probability of one in ten million.
    return hashlib.sha256(f"{target}\n{post_id}".encode()).hexdigest()[:16]
