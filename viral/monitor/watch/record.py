"""Record of a sighting: evidence, alert, row; each step may be repeated after a restart, and changes nothing then."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from viral.config import MonitorSettings
from viral.duplicates.clusters import VIDEO_COLUMNS, video_clusters
from viral.errors import ViralError
from viral.monitor.alerts.alert import WORDING, MonitorAlert
from viral.monitor.alerts.outbox import enqueue
from viral.monitor.evidence import MANIFEST, EvidenceBundle, add_stamp, bundle_prefix, delete_bundle, write_bundle
from viral.monitor.feeds.feed import FeedItem
from viral.monitor.provenance import c2pa_box, read_c2pa
from viral.monitor.review import update_sighting
from viral.monitor.timestamping import request_stamp
from viral.monitor.watch.scan import FoundTarget, ScanResult, about
from viral.storage.store import Store, one_line
from viral.tables.sightings import POSSIBLE, SIGHTINGS, sighting_id, sightings_table


@dataclass(frozen=True)
class SightedPost:
    """A post in which something was found: its feed, its file, and the predicted probability of being viral."""

    feed: str
    item: FeedItem
    path: Path
    result: ScanResult
    reach: float | None


def record(
    store: Store, settings: MonitorSettings, post: SightedPost, found: FoundTarget, log: Callable[[str], None]
) -> bool:
    """Record one target in one post; return whether it is an alert of its own.

    A near-duplicate of an earlier post joins the alert of that post.
    """
    identifier, now = sighting_id(found.detector.card.name, post.item.post_id), datetime.now(UTC)
    rows = sightings_table(store).read().to_pylist()
    if any(row["sighting_id"] == identifier for row in rows):
        return False
    bundle = EvidenceBundle(
        identifier,
        {
            **about(found, post.result),
            "feed": post.feed,
            "page_url": post.item.page_url,
            "detected_at": now.isoformat(),
            "reach": post.reach,
        },
        post.item.post,
        found.frames,
        _provenance(post.path),
    )
    digest = write_bundle(store, bundle)
    _stamp(store, settings, identifier, log)
    row = _row(post, found, identifier, now) | {"evidence_sha256": digest}
    row["retain_until"] = now + timedelta(days=settings.retention_days)
    row["alert_id"] = _first_with_this_video(rows, row) or identifier
    own = bool(row["alert_id"] == identifier)
    # Before the row, which says that this is done.
    if own:
        enqueue(store, _alert(post, found, row))
    table = sightings_table(store)
    table.append(pa.Table.from_pylist([row], schema=SIGHTINGS), table.log2_buckets())
    table.compact(table.log2_buckets(), 0)
    return own


def expire(store: Store, now: datetime) -> int:
    """Delete the evidence whose retention time is over; the rows stay. Returns the number of bundles."""
    rows = [row for row in sightings_table(store).read().to_pylist() if row["evidence_sha256"]]
    expired = [row for row in rows if row["retain_until"] <= now]
    for row in expired:
        delete_bundle(store, row["sighting_id"])
        update_sighting(store, row, evidence_sha256=None)
    return len(expired)


def best_picture(store: Store, alert: MonitorAlert) -> bytes | None:
    """PNG of the frame with the highest score of an alert's evidence; None without evidence."""
    if alert.sighting_id is None:
        return None
    prefix = bundle_prefix(alert.sighting_id)
    try:
        frames = json.loads(store.read(f"{prefix}/{MANIFEST}"))["frames"]
        return store.read(f"{prefix}/{max(frames, key=lambda frame: frame['score'])['file']}")
    except FileNotFoundError:  # deleted at the end of its retention time
        return None


def _row(post: SightedPost, found: FoundTarget, identifier: str, now: datetime) -> dict[str, Any]:
    card, facts = found.detector.card, post.result.facts
    return {
        "sighting_id": identifier,
        "target": card.name,
        "model": card.model,
        "post_id": post.item.post_id,
        "feed": post.feed,
        "page_url": post.item.page_url,
        "confidence": found.detector.confidence(found.score),
        "start_seconds": found.start_seconds,
        "peak_seconds": found.peak_seconds,
        "reach": post.reach,
        "sha256": facts.sha256,
        "video_hash": post.result.video_hash,
        "seen_seconds": facts.seen_seconds,
        "status": POSSIBLE,
        "detected_at": now,
        "updated_at": now,
    }


def _first_with_this_video(rows: list[dict[str, Any]], row: Mapping[str, Any]) -> str | None:
    """Alert of an earlier sighting of the same target in a copy of the video."""
    earlier = [other for other in rows if other["target"] == row["target"]]
    columns = {name: [other[name] for other in (*earlier, row)] for name in VIDEO_COLUMNS}
    videos = pa.table({name: pa.array(columns[name], SIGHTINGS.field(name).type) for name in VIDEO_COLUMNS})
    codes = video_clusters(videos).codes
    copies = [earlier[i] for i in np.flatnonzero(codes[:-1] == codes[-1])]
    return str(min(copies, key=lambda other: other["detected_at"])["alert_id"]) if copies else None


def _alert(post: SightedPost, found: FoundTarget, row: Mapping[str, Any]) -> MonitorAlert:
    card, reach = found.detector.card, post.reach
    text = [
        f"post: {post.item.page_url or post.item.video_uri}",
        f"seen from {found.start_seconds:.1f} s, best at {found.peak_seconds:.1f} s; "
        f"confidence {row['confidence']:.4f}, by {card.model}",
        f"predicted probability of spreading: {reach:.2f}" if reach is not None else "spread: not predicted",
        f"evidence: viral monitor evidence {row['sighting_id']} --export FILE.zip",
        f"then: viral monitor review {row['sighting_id']} confirm (or reject)",
    ]
    facts = {
        name: value.isoformat() if isinstance(value, datetime) else value.hex() if isinstance(value, bytes) else value
        for name, value in row.items()
    }
    return MonitorAlert(
        row["sighting_id"],
        "sighting",
        f"{WORDING}: {card.name} in post {post.item.post_id}",
        "\n".join(text),
        row["confidence"] * (1.0 if reach is None else reach),
        row["detected_at"].isoformat(),
        row["sighting_id"],
        facts,
    )


def _provenance(path: Path) -> dict[str, bytes]:
    box = c2pa_box(path)
    if box is None:
        return {}
    read = read_c2pa(path)
    return {"c2pa.jumbf": box} | ({"c2pa.json": read.encode()} if read else {})


def _stamp(store: Store, settings: MonitorSettings, identifier: str, log: Callable[[str], None]) -> None:
    if settings.timestamp_url is None:
        return
    try:
        manifest = store.read(f"{bundle_prefix(identifier)}/{MANIFEST}")
        add_stamp(store, identifier, request_stamp(settings.timestamp_url, manifest))
    except ViralError as error:  # an alert must not wait for another service: the evidence says so by its lack
        log(f"no time stamp for {identifier}: {one_line(error)}")
