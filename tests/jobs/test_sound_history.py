"""Popularity of sounds before each post: from the posts table to the vectors of a backfill."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from jobs import backfill, sounds
from viral.config import Settings
from viral.errors import TableError
from viral.extractors.feature_set import FeatureSet
from viral.features.feature_table import features_table
from viral.sounds.history import open_history
from viral.storage.store import Store
from viral.tables import bucketed
from viral.tables.places import posts_table
from viral.tables.schemas import POSTS

pytestmark = pytest.mark.usefixtures("ray_session")

SET = FeatureSet.from_dict({"name": "sounds", "extractors": ["popularity"]})
START = datetime(2025, 3, 1, tzinfo=UTC)


def post(number: int, sound: str | None, day: int, scraped: int, uses: int | None) -> dict[str, object]:
    return {
        "post_id": f"p{number}",
        "source": "test",
        "sound_id": sound,
        "posted_at": START + timedelta(days=day),
        "scraped_at": START + timedelta(days=scraped),
        "sound_uses": uses,
    }


def add(store: Store, *posts: dict[str, object]) -> None:
    posts_table(store).append(pa.Table.from_pylist(list(posts), schema=POSTS), 0)


def filled(store: Store) -> dict[str, list[float] | None]:
    summary = backfill.run(store, SET, Settings())
    assert summary.posts == summary.done_before + summary.ok + summary.failed
    rows = features_table(store, SET).read(columns=["post_id", "popularity"]).to_pylist()
    return {row["post_id"]: row["popularity"] for row in rows}


def test_it_becomes_a_vector_and_later_posts_change_no_earlier_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store.open(tmp_path)
    add(store, post(1, "a", 1, 2, 50), post(2, "a", 3, 4, 80), post(3, "b", 5, 6, None), post(4, None, 5, 6, None))
    with pytest.raises(TableError, match=r"compute it first \(viral sounds\)"):
        backfill.run(store, SET, Settings())
    assert sounds.run(store).posts_with_history == 3
    first = filled(store)
    assert first["p1"] == pytest.approx([0, 1, 0, 0])
    assert first["p2"] == pytest.approx([math.log(2), 1, math.log(51), 1])
    assert first["p3"] == pytest.approx([0, 1, 0, 0])
    assert first["p4"] is None
    monkeypatch.setattr(bucketed, "BUCKET_ROWS", 1)  # eight buckets of posts and of sounds
    add(store, post(5, "a", 9, 10, 10**6), post(6, "b", 6, 10, 10**6))
    before = open_history(store, 0).read()
    with pytest.raises(TableError, match="2 rows of posts were added since"):
        backfill.run(store, SET, Settings())
    summary = sounds.run(store)
    assert (summary.sounds, summary.changed, summary.posts_with_history) == (2, 2, 5)
    assert open_history(store, 0).read().slice(0, 3).equals(before)
    second = filled(store)
    assert second["p5"] == pytest.approx([math.log(3), 1, math.log(81), 1])
    assert second["p6"] == pytest.approx([math.log(2), 1, 0, 0])
