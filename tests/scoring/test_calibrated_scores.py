"""Calibrated scores, tested on posts with known labels."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import roc_auc_score

from tests.planted import STREAMS, World, outliers, posts
from viral.datasets.streams import Batch
from viral.errors import UsageError
from viral.evaluation.bootstrap.metrics import classification
from viral.scoring.author import compare_with_author
from viral.scoring.reference import QUANTILE, Reference
from viral.scoring.scorer import UNKNOWN, Score, Scorer
from viral.storage.store import Store

FRESH = posts(5000, 3)


@pytest.fixture(scope="module")
def scores(planted_world: World) -> list[Score]:
    return planted_world.scorer.score_batch(FRESH.batch)


def test_intervals_hold_nine_of_ten(scores: list[Score]) -> None:
    inside = [score.low <= y <= score.high for score, y in zip(scores, FRESH.y, strict=True)]
    assert 0.87 <= np.mean(inside) <= 0.93


def test_probabilities_can_be_taken_at_their_word(planted_world: World, scores: list[Score]) -> None:
    viral = planted_world.bar < FRESH.y
    metrics = classification(viral, [score.probability for score in scores])
    assert metrics["ece"] is not None and metrics["ece"] <= 0.05
    assert (
        metrics["roc_auc"] is not None and metrics["roc_auc"] > 0.85
    )  # calibrated, and not by saying one thing of all
    assert {score.in_distribution for score in scores} == {True, False}


def test_percentiles_are_uniform(scores: list[Score]) -> None:
    percentiles = np.array([score.percentile for score in scores if score.percentile is not None])
    # The reference posts are a sample themselves: 2,000 of them, against which this one is tested.
    assert stats.kstest(percentiles, np.linspace(0, 100, 2000)).pvalue > 0.01
    assert np.histogram(percentiles, bins=10, range=(0, 100))[0].min() > 0.8 * len(percentiles) / 10
    assert percentiles.min() < 1
    assert percentiles.max() > 99


def test_percentiles_follow_probabilities(scores: list[Score]) -> None:
    familiar = [(score.percentile or 0, score.probability) for score in scores if score.in_distribution]
    # Posts beyond all reference posts share a percentile, not a probability.
    probabilities = [probability for _, probability in sorted(familiar)]
    assert probabilities == sorted(probabilities)


@pytest.mark.parametrize(
    "stream", [each for each in STREAMS if each.modality != "metadata"], ids=lambda each: each.name
)
def test_what_is_unlike_all_training_posts_is_flagged(planted_world: World, stream: object) -> None:
    assert planted_world.scorer.reference is not None
    reference = planted_world.scorer.reference
    familiar, novel = posts(500, 4, absent=0.0).batch, outliers(500, 5, stream)
    novelty = [reference.novelty(STREAMS, batch) for batch in (familiar, novel)]
    assert roc_auc_score([0] * 500 + [1] * 500, np.concatenate(novelty)) >= 0.9
    flagged = [~reference.in_distribution(STREAMS, batch) for batch in (familiar, novel)]
    assert flagged[0].mean() < 3 * (1 - QUANTILE)
    assert flagged[1].mean() > 0.5


def test_it_is_decided_as_by_the_distance_to_the_fifth_neighbour(planted_world: World) -> None:
    """Also for posts at the limit, which a product of matrices alone cannot decide."""
    reference = planted_world.scorer.reference
    assert reference is not None
    batch = FRESH.batch.take(np.arange(500))
    novelty = reference.novelty(STREAMS, batch)
    for limit in (reference.limit, *novelty[np.isfinite(novelty)][:10].tolist(), 0.0, 1e9):
        moved = Reference(reference.rows, reference.streams, reference.content, limit)
        assert np.array_equal(moved.in_distribution(STREAMS, batch), ~(novelty > limit))


def test_numbers_beyond_all_measure_are_novel(planted_world: World) -> None:
    batch = FRESH.batch.take(np.arange(8))
    huge = {**batch.vectors, STREAMS[3].name: np.full_like(batch.vectors[STREAMS[3].name], 3e38)}
    present = np.ones_like(batch.present)
    assert not any(score.in_distribution for score in planted_world.scorer.score_batch(Batch(huge, present)))


def test_columns_are_what_scores_are(planted_world: World, scores: list[Score]) -> None:
    columns, in_distribution = planted_world.scorer.score_columns(FRESH.batch)
    assert in_distribution is not None and columns.percentile is not None
    assert in_distribution.tolist() == [score.in_distribution for score in scores]
    assert columns.probability.tolist() == [score.probability for score in scores]
    assert [None if np.isnan(value) else value for value in columns.percentile] == [s.percentile for s in scores]
    assert columns.quantiles.tolist() == [[score.low, score.score, score.high] for score in scores]


def test_of_the_unknown_nothing_bold_is_said(planted_world: World) -> None:
    scorer = planted_world.scorer
    assert scorer.calibration is not None
    novel = [score for score in scorer.score_batch(outliers(200, 6, STREAMS[3])) if not score.in_distribution]
    assert novel
    low, high = scorer.calibration.spread
    for score in novel:
        assert (score.probability, score.percentile) == (scorer.calibration.base_rate, None)
        assert score.low <= low < high <= score.high
        assert score.notes[-1] == UNKNOWN


def test_an_unusual_hour_or_reach_makes_no_video_strange(planted_world: World) -> None:
    assert planted_world.scorer.reference is not None
    assert planted_world.scorer.reference.in_distribution(STREAMS, outliers(200, 7, STREAMS[0])).mean() > 0.95


def test_saved_and_loaded_it_says_the_same(planted_world: World, scores: list[Score]) -> None:
    again = Scorer.load(Store(planted_world.store.root), "planted/1")
    few = FRESH.batch.take(np.arange(100))
    assert again.score_batch(few) == scores[:100]


def test_a_model_that_was_not_calibrated_says_so(planted_world: World) -> None:
    raw = Scorer(replace(planted_world.scorer.saved, name="other"))
    (score,) = raw.score_batch(FRESH.batch.take(np.array([0])))
    assert (score.in_distribution, score.percentile) == (None, None)
    assert score.notes == ("not calibrated: `viral evaluate` does it, once the validation posts have features",)


def test_as_json(scores: list[Score]) -> None:
    stored = json.loads(json.dumps(scores[0].to_dict()))
    assert stored["interval"] == [scores[0].low, scores[0].high]
    assert stored["percentile"] == scores[0].percentile
    assert stored["relative_to_author"] is None


def test_beside_the_author(scores: list[Score]) -> None:
    score = scores[0].score
    views = [round(np.expm1(score - 1)), round(np.expm1(score - 1)), round(np.expm1(score + 2))]
    relative = compare_with_author(scores[0], views).relative_to_author
    assert relative is not None
    assert relative["posts"] == 3
    assert relative["difference"] == pytest.approx(1, abs=1e-3)
    assert relative["times"] == pytest.approx(np.e, rel=1e-3)
    assert relative["percentile"] == pytest.approx(200 / 3)
    with pytest.raises(UsageError, match=r"cannot be compared with engagement_rate: use a model of log_views$"):
        compare_with_author(replace(scores[0], label="engagement_rate"), [3])
    for wrong in ([], [5, -1]):
        with pytest.raises(UsageError, match="one or more earlier posts, each 0 or more"):
            compare_with_author(scores[0], wrong)


def test_posts_of_which_nothing_tells_are_known(planted_world: World) -> None:
    only_metadata = posts(5, 8, absent=0.0).batch
    present = np.zeros_like(only_metadata.present)
    present[:, 0] = True
    assert planted_world.scorer.reference is not None
    assert planted_world.scorer.reference.in_distribution(STREAMS, Batch(only_metadata.vectors, present)).all()
