"""Vectors gathered for the baselines."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from jobs.evaluating import baseline_rows
from jobs.evaluating.baseline_rows import add_vectors, baseline_columns, read_vectors
from viral.extractors.feature_set import FeatureSet


def rows(count: int) -> pa.Table:
    return pa.table(
        {
            "post_id": [f"post {row}" for row in range(count)],
            "split": ["test" if row % 4 == 0 else "train" for row in range(count)],
            "metadata": [[float(row)] for row in range(count)],
            "acoustics": pa.array(
                [None if row % 5 == 0 else [row, row + 0.5] for row in range(count)], pa.list_(pa.float32())
            ),
        }
    )


def test_our_own_columns_that_baselines_look_at() -> None:
    assert baseline_columns(FeatureSet.named("light")) == ("metadata", "acoustics")
    assert baseline_columns(FeatureSet.named("full")) == ("metadata", "acoustics", "resnet50", "r2plus1d")


def test_vectors_are_nan_where_there_are_none() -> None:
    table = rows(20)
    narrow = add_vectors(table.select(["post_id", "split"]), table, ("metadata", "acoustics"), log2_buckets=0)
    (name,) = vectors = read_vectors(narrow)
    assert name == "acoustics" and vectors[name].shape == (20, 2) and vectors[name].dtype == np.float32
    assert np.isnan(vectors[name][::5]).all()
    assert vectors[name][1].tolist() == [1.0, 1.5]
    assert narrow["metadata"].equals(table["metadata"])
    nothing = narrow.set_column(3, "acoustics", pa.nulls(20, pa.list_(pa.float32())))
    assert np.isnan(read_vectors(nothing)["acoustics"]).all()


def test_of_many_training_posts_a_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(baseline_rows, "MAX_TRAINING_POSTS", 400)
    table = rows(1000)
    narrow = add_vectors(
        table.select(["post_id", "split"]), table, ("acoustics",), log2_buckets=1
    )  # one of two buckets
    present = ~np.isnan(read_vectors(narrow)["acoustics"][:, 0])
    tested = table["split"].to_numpy() == "test"
    assert present[tested].sum() == 200  # all that have one
    assert 80 < present[~tested].sum() < 160  # a fifth of 600
