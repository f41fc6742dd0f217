"""Two models on the same posts."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from scipy import stats
from sklearn import metrics as sk

from tests.promotion.conftest import make_predictions
from viral.errors import TableError
from viral.evaluation import test_predictions
from viral.evaluation.model_comparison import COMPARED_METRICS, compare
from viral.storage.store import Store


@pytest.fixture
def predictions(tmp_path):
    """Stores and reads test predictions of models with a given noise."""
    store, versions = Store.open(tmp_path), iter(range(1, 100))

    def read(noise: float, **how) -> pa.Table:
        version = next(versions)
        test_predictions.save(store, "m", version, make_predictions(noise, **how))
        return test_predictions.read(store, "m", version)

    return read


def test_metrics_are_those_of_the_libraries(predictions):
    first, second = predictions(0.5), predictions(2.0)
    comparison = compare(first, second, resamples=100)
    assert tuple(comparison.figures) == COMPARED_METRICS
    assert (comparison.posts, comparison.authors, comparison.only_one, comparison.only_other) == (270, 27, 0, 0)
    y, score, second_score = (np.asarray(column) for column in (first["target"], first["score"], second["score"]))
    spearman = comparison.figures["spearman"]
    assert spearman.one == pytest.approx(stats.spearmanr(y, score).statistic)
    assert spearman.other == pytest.approx(stats.spearmanr(y, second_score).statistic)
    assert spearman.difference.value == pytest.approx(spearman.one - spearman.other)
    auc = comparison.figures["roc_auc"]
    assert auc.other == pytest.approx(
        sk.roc_auc_score(second["is_viral"].to_pylist(), second["probability"].to_pylist())
    )
    assert comparison.figures["rmse"].difference.high < 0 < spearman.difference.low
    coverage = np.mean((y >= score - 1.6) & (y <= score + 1.6))
    assert comparison.figures["coverage"].one == pytest.approx(coverage)


def test_the_interval_is_paired(predictions):
    """Two that err alike differ by little, however far each could be off."""
    first = predictions(2.0)
    score = pa.array(np.asarray(first["score"]) + 0.01)
    second = first.set_column(first.column_names.index("score"), first.schema.field("score"), score)
    difference = compare(first, second, names=("mae",), resamples=100).figures["mae"].difference
    assert -0.011 < difference.low < difference.high < 0.011


def test_a_model_against_itself_differs_by_nothing(predictions):
    for pair in compare(predictions(1.0), predictions(1.0), resamples=100).figures.values():
        assert (pair.difference.value, pair.difference.low, pair.difference.high) == (0, 0, 0)


def test_only_common_posts_count(predictions):
    first, second = predictions(0.5), predictions(2.0)
    comparison = compare(first.slice(0, 200), second.slice(50), names=("spearman",), resamples=100)
    assert (comparison.posts, comparison.only_one, comparison.only_other) == (150, 50, 70)
    both = compare(first.slice(50, 150), second.slice(50, 150), names=("spearman",), resamples=100)
    assert comparison.figures == both.figures


def test_what_cannot_be_compared_is_refused(predictions):
    first = predictions(1.0)
    with pytest.raises(TableError, match="have no test post in common"):
        compare(first.slice(0, 10), first.slice(10))
    index = first.column_names.index("target")
    moved = first.set_column(
        index, first.schema.field("target"), pa.array(np.asarray(first["target"]) + np.eye(270)[0])
    )
    with pytest.raises(TableError, match="target of 1 test posts differs between the two models: evaluate both again"):
        compare(first, moved)


def test_test_posts_are_kept_in_the_order_of_their_ids(predictions, tmp_path):
    rows = predictions(1.0)
    assert rows["post_id"].to_pylist() == sorted(rows["post_id"].to_pylist())
    assert rows.num_rows == 270
    assert len(rows["author"].unique()) == 27
    with pytest.raises(TableError, match=r"m/99 has no stored test predictions: evaluate it first"):
        test_predictions.read(Store.open(tmp_path), "m", 99)
