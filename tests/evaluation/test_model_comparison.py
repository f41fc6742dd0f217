"""Two models on the same posts."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from scipy import stats
from sklearn import metrics as sk

from tests.promotion.conftest import judged
from viral.errors import TableError
from viral.evaluation import test_predictions
from viral.evaluation.model_comparison import COMPARED_METRICS, compare
from viral.storage.store import Store


@pytest.fixture
def predictions(tmp_path):
    """Test posts as they are read back, of models that err by so much."""
    store, made = Store.open(tmp_path), iter(range(1, 100))

    def read(noise: float, **how) -> pa.Table:
        version = next(made)
        test_predictions.save(store, "m", version, judged(noise, **how))
        return test_predictions.read(store, "m", version)

    return read


def test_figures_are_those_of_the_libraries(predictions):
    one, other = predictions(0.5), predictions(2.0)
    found = compare(one, other, resamples=100)
    assert tuple(found.figures) == COMPARED_METRICS
    assert (found.posts, found.authors, found.only_one, found.only_other) == (270, 27, 0, 0)
    y, first, second = (np.asarray(each) for each in (one["target"], one["score"], other["score"]))
    spearman = found.figures["spearman"]
    assert spearman.one == pytest.approx(stats.spearmanr(y, first).statistic)
    assert spearman.other == pytest.approx(stats.spearmanr(y, second).statistic)
    assert spearman.difference.value == pytest.approx(spearman.one - spearman.other)
    auc = found.figures["roc_auc"]
    assert auc.other == pytest.approx(sk.roc_auc_score(other["is_viral"].to_pylist(), other["probability"].to_pylist()))
    assert found.figures["rmse"].difference.high < 0 < spearman.difference.low
    coverage = np.mean((y >= first - 1.6) & (y <= first + 1.6))
    assert found.figures["coverage"].one == pytest.approx(coverage)


def test_the_interval_is_paired(predictions):
    """Two that err alike differ by little, however far each could be off."""
    one = predictions(2.0)
    score = pa.array(np.asarray(one["score"]) + 0.01)
    other = one.set_column(one.column_names.index("score"), one.schema.field("score"), score)
    difference = compare(one, other, names=("mae",), resamples=100).figures["mae"].difference
    assert -0.011 < difference.low < difference.high < 0.011


def test_a_model_against_itself_differs_by_nothing(predictions):
    for pair in compare(predictions(1.0), predictions(1.0), resamples=100).figures.values():
        assert (pair.difference.value, pair.difference.low, pair.difference.high) == (0, 0, 0)


def test_only_common_posts_count(predictions):
    one, other = predictions(0.5), predictions(2.0)
    found = compare(one.slice(0, 200), other.slice(50), names=("spearman",), resamples=100)
    assert (found.posts, found.only_one, found.only_other) == (150, 50, 70)
    both = compare(one.slice(50, 150), other.slice(50, 150), names=("spearman",), resamples=100)
    assert found.figures == both.figures


def test_what_cannot_be_compared_is_refused(predictions):
    one = predictions(1.0)
    with pytest.raises(TableError, match="no post is a test post of both"):
        compare(one.slice(0, 10), one.slice(10))
    place = one.column_names.index("target")
    moved = one.set_column(place, one.schema.field("target"), pa.array(np.asarray(one["target"]) + np.eye(270)[0]))
    with pytest.raises(TableError, match="target of 1 test posts is not the same for both: evaluate both anew"):
        compare(one, moved)


def test_test_posts_are_kept_in_the_order_of_their_ids(predictions, tmp_path):
    rows = predictions(1.0)
    assert rows["post_id"].to_pylist() == sorted(rows["post_id"].to_pylist())
    assert rows.num_rows == 270
    assert len(rows["author"].unique()) == 27
    with pytest.raises(TableError, match=r"m/99 has no stored test predictions: evaluate it first"):
        test_predictions.read(Store.open(tmp_path), "m", 99)
