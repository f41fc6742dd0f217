"""Which vectors are taken along for the baselines."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from jobs.evaluating import baseline_rows
from jobs.evaluating.baseline_rows import seen_by_baselines, vectors_of, with_vectors
from viral.extractors.feature_set import FeatureSet


def rows(count: int) -> pa.Table:
    return pa.table(
        {
            "post_id": [f"post {at}" for at in range(count)],
            "split": ["test" if at % 4 == 0 else "train" for at in range(count)],
            "metadata": [[float(at)] for at in range(count)],
            "acoustics": pa.array(
                [None if at % 5 == 0 else [at, at + 0.5] for at in range(count)], pa.list_(pa.float32())
            ),
        }
    )


def test_our_own_columns_that_baselines_look_at() -> None:
    assert seen_by_baselines(FeatureSet.named("light")) == ("metadata", "acoustics")
    assert seen_by_baselines(FeatureSet.named("full")) == ("metadata", "acoustics", "resnet50", "r2plus1d")


def test_vectors_are_nan_where_there_are_none() -> None:
    table = rows(20)
    narrow = with_vectors(table.select(["post_id", "split"]), table, ("metadata", "acoustics"), bits=0)
    (name,) = found = vectors_of(narrow)
    assert name == "acoustics" and found[name].shape == (20, 2) and found[name].dtype == np.float32
    assert np.isnan(found[name][::5]).all()
    assert found[name][1].tolist() == [1.0, 1.5]
    assert narrow["metadata"].equals(table["metadata"])
    nothing = narrow.set_column(3, "acoustics", pa.nulls(20, pa.list_(pa.float32())))
    assert np.isnan(vectors_of(nothing)["acoustics"]).all()


def test_of_many_training_posts_a_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(baseline_rows, "MAX_LEARNT", 400)
    table = rows(1000)
    narrow = with_vectors(table.select(["post_id", "split"]), table, ("acoustics",), bits=1)  # one of two buckets
    there = ~np.isnan(vectors_of(narrow)["acoustics"][:, 0])
    tested = table["split"].to_numpy() == "test"
    assert there[tested].sum() == 200  # all that have one
    assert 80 < there[~tested].sum() < 160  # a fifth of 600
