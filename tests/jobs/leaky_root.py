"""Roots with planted leaks."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from jobs import evaluate
from viral.errors import LeakError
from viral.features.feature_table import features_table
from viral.registry.registry import Registry
from viral.storage.store import Store
from viral.tables import replaced
from viral.tables.schemas import LABELS


def labels_of(store: Store) -> tuple[pa.Table, dict[str, Any]]:
    table, about = replaced.open_current(store, "labels/log_views", LABELS)
    return table.read(), about


def relabelled(store: Store, rows: pa.Table, about: dict[str, Any]) -> dict[str, Any]:
    """Replace the rows of the label table; returns its metadata."""
    version = uuid.uuid4().hex[:12]
    replaced.begin(store, "labels/log_views", LABELS, version).append(rows, 0)
    replaced.commit(store, "labels/log_views", version, about)
    return about


def resaved(store: Store, weights: bytes | None = None, name: str = "leaking", **card: object) -> str:
    """Save a copy of the model with another card or other weights."""
    saved = Registry(store).load("fused")
    return f"{name}/{Registry(store).save(name, {**saved.card, **card}, weights or saved.weights)}"


def leak_message(store: Store, model: str, judge: Callable[[Store, str], object] = evaluate.run) -> str:
    """Check that the audit rejects a model before it is evaluated, and return the message."""
    with pytest.raises(LeakError) as leak:
        judge(store, model)
    assert not store.exists(f"models/{model.partition('/')[0]}/0001/scorecard.json")
    assert "\n" not in str(leak.value)
    return str(leak.value)


def ids(rows: pa.Table, part: str) -> list[str]:
    return rows["post_id"].filter(pc.equal(rows["split"], part)).to_pylist()


def copy_video(store: Store, flow, post: str, of: str, columns=("video_hash", "seen_seconds")) -> None:
    """Store a newer attempt of a post, whose video is that of another."""
    features = features_table(store, flow.feature_set)
    known = {row["post_id"]: row for row in features.read().to_pylist()}
    late = known[post] | {"attempt": 9, **{name: known[of][name] for name in columns}}
    features.append(pa.Table.from_pylist([late], schema=features.schema), 0)
