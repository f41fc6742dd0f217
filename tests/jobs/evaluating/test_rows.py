"""Rows of a scorecard, gathered bucket by bucket."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from jobs.evaluating.rows import predict_masked
from tests.planted import World
from viral.tables.schemas import VECTOR


def test_a_bucket_without_a_post_for_the_ablation(planted_world: World) -> None:
    """As of a million posts, of which a sample is ablated."""
    scorer = planted_world.scorer
    rows = pa.table({stream.name: pa.array([[0.5] * stream.dim] * 3, VECTOR) for stream in scorer.streams})
    assert predict_masked(scorer, rows, np.zeros(3, bool)).to_pylist() == [None] * 3
    [first, second, third] = predict_masked(scorer, rows, np.array([False, True, False])).to_pylist()
    assert first is third is None
    assert np.isfinite(second).all()
