"""The nearest training posts: like the post, by others, and earlier."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from tests.planted import BEGAN, STREAMS, TRAIN, World, posts
from viral.datasets.streams import Batch
from viral.errors import UsageError
from viral.explain.neighbours import neighbours
from viral.scoring.scorer import Scorer

KEPT = posts(TRAIN, 1)  # what the model was trained on


def test_a_training_post_is_nearest_to_itself(planted_world: World) -> None:
    found = neighbours(planted_world.scorer, KEPT.batch.take(np.array([70]))).posts
    assert (found[0].post_id, found[0].author_id) == ("post 70", "author 7")
    assert found[0].distance == pytest.approx(0, abs=1e-3)
    assert found[0].target == pytest.approx(KEPT.y[70])
    assert found[0].is_viral == (KEPT.y[70] > planted_world.bar)
    assert [each.distance for each in found] == sorted(each.distance for each in found)
    assert found[1].distance > 0.05


def test_only_others_and_only_earlier(planted_world: World) -> None:
    post, moment = KEPT.batch.take(np.array([70])), BEGAN + timedelta(hours=70)
    found = neighbours(planted_world.scorer, post, author_id="author 7", before=moment, count=20).posts
    assert len(found) == 20
    assert all(each.author_id != "author 7" for each in found)
    assert all(each.posted_at is not None and each.posted_at < moment for each in found)
    assert neighbours(planted_world.scorer, post, before=BEGAN).posts == ()
    without_zone = moment.replace(tzinfo=None)
    assert neighbours(planted_world.scorer, post, author_id="author 7", before=without_zone, count=20).posts == found


def test_they_are_alike_in_what_both_have(planted_world: World) -> None:
    """Half of the post's own kinds, shifted a little, finds the post that it was made from."""
    rows = np.arange(50)
    near = KEPT.batch.take(rows)
    vectors = {name: array + np.float32(0.02) * array.std() for name, array in near.vectors.items()}
    present = near.present & (np.array([stream.modality for stream in STREAMS]) != "text")
    asked = np.flatnonzero(present[:, 2:].all(axis=1))
    hits = [
        neighbours(planted_world.scorer, Batch(vectors, present).take(np.array([row])), count=1).posts[0].post_id
        == f"post {row}"
        for row in asked
    ]
    assert np.mean(hits) > 0.9


def test_without_reference(planted_world: World) -> None:
    raw = Scorer(replace(planted_world.scorer.saved, store=None))
    with pytest.raises(UsageError, match="is not calibrated"):
        neighbours(raw, KEPT.batch.take(np.array([0])))
