"""What a calibrated score promises, held against posts whose truth is known."""

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
from viral.scoring.author import beside_author
from viral.scoring.reference import USUAL
from viral.scoring.scorer import UNKNOWN, Scored, Scorer
from viral.storage.store import Store

FRESH = posts(5000, 3)


@pytest.fixture(scope="module")
def scored(planted_world: World) -> list[Scored]:
    return planted_world.scorer.score_batch(FRESH.batch)


def test_intervals_hold_nine_of_ten(scored: list[Scored]) -> None:
    inside = [each.low <= y <= each.high for each, y in zip(scored, FRESH.y, strict=True)]
    assert 0.87 <= np.mean(inside) <= 0.93


def test_probabilities_can_be_taken_at_their_word(planted_world: World, scored: list[Scored]) -> None:
    viral = planted_world.bar < FRESH.y
    figures = classification(viral, [each.probability for each in scored])
    assert figures["ece"] is not None and figures["ece"] <= 0.05
    assert (
        figures["roc_auc"] is not None and figures["roc_auc"] > 0.85
    )  # calibrated, and not by saying one thing of all
    assert {each.known for each in scored} == {True, False}


def test_percentiles_are_uniform(scored: list[Scored]) -> None:
    percentiles = np.array([each.percentile for each in scored if each.percentile is not None])
    # The reference posts are a sample themselves: 2,000 of them, against which this one is tested.
    assert stats.kstest(percentiles, np.linspace(0, 100, 2000)).pvalue > 0.01
    assert np.histogram(percentiles, bins=10, range=(0, 100))[0].min() > 0.8 * len(percentiles) / 10
    assert percentiles.min() < 1
    assert percentiles.max() > 99


def test_percentiles_follow_probabilities(scored: list[Scored]) -> None:
    known = sorted((each for each in scored if each.known), key=lambda each: each.percentile or 0)
    probabilities = [each.probability for each in known]
    assert probabilities == sorted(probabilities)


@pytest.mark.parametrize(
    "stream", [each for each in STREAMS if each.modality != "metadata"], ids=lambda each: each.name
)
def test_what_is_unlike_all_training_posts_is_flagged(planted_world: World, stream: object) -> None:
    assert planted_world.scorer.reference is not None
    reference = planted_world.scorer.reference
    usual, strange = posts(500, 4, absent=0.0).batch, outliers(500, 5, stream)
    found = [reference.strangeness(STREAMS, batch) for batch in (usual, strange)]
    assert roc_auc_score([0] * 500 + [1] * 500, np.concatenate(found)) >= 0.9
    flagged = [~reference.known(STREAMS, batch) for batch in (usual, strange)]
    assert flagged[0].mean() < 3 * (1 - USUAL)
    assert flagged[1].mean() > 0.5


def test_of_the_unknown_nothing_bold_is_said(planted_world: World) -> None:
    scorer = planted_world.scorer
    assert scorer.calibration is not None
    strange = [each for each in scorer.score_batch(outliers(200, 6, STREAMS[3])) if not each.known]
    assert strange
    low, high = scorer.calibration.spread
    for each in strange:
        assert (each.probability, each.percentile) == (scorer.calibration.base_rate, None)
        assert each.low <= low < high <= each.high
        assert each.notes[-1] == UNKNOWN


def test_an_unusual_hour_or_reach_makes_no_video_strange(planted_world: World) -> None:
    assert planted_world.scorer.reference is not None
    assert planted_world.scorer.reference.known(STREAMS, outliers(200, 7, STREAMS[0])).mean() > 0.95


def test_saved_and_loaded_it_says_the_same(planted_world: World, scored: list[Scored]) -> None:
    again = Scorer.load(Store(planted_world.store.root), "planted/1")
    few = FRESH.batch.take(np.arange(100))
    assert again.score_batch(few) == scored[:100]


def test_a_model_that_was_not_calibrated_says_so(planted_world: World) -> None:
    raw = Scorer(replace(planted_world.scorer.saved, name="other"))
    (said,) = raw.score_batch(FRESH.batch.take(np.array([0])))
    assert (said.known, said.percentile) == (None, None)
    assert said.notes == ("not calibrated: `viral evaluate` does it, once the validation posts have features",)


def test_as_json(scored: list[Scored]) -> None:
    told = json.loads(json.dumps(scored[0].to_dict()))
    assert told["interval"] == [scored[0].low, scored[0].high]
    assert told["percentile"] == scored[0].percentile
    assert told["relative_to_author"] is None


def test_beside_the_author(scored: list[Scored]) -> None:
    score = scored[0].score
    views = [round(np.expm1(score - 1)), round(np.expm1(score - 1)), round(np.expm1(score + 2))]
    told = beside_author(scored[0], views).relative_to_author
    assert told is not None
    assert told["posts"] == 3
    assert told["difference"] == pytest.approx(1, abs=1e-3)
    assert told["times"] == pytest.approx(np.e, rel=1e-3)
    assert told["percentile"] == pytest.approx(200 / 3)
    with pytest.raises(UsageError, match=r"say nothing beside engagement_rate: use a model of log_views$"):
        beside_author(replace(scored[0], label="engagement_rate"), [3])
    for wrong in ([], [5, -1]):
        with pytest.raises(UsageError, match="one or more earlier posts, each 0 or more"):
            beside_author(scored[0], wrong)


def test_posts_of_which_nothing_tells_are_known(planted_world: World) -> None:
    only_metadata = posts(5, 8, absent=0.0).batch
    present = np.zeros_like(only_metadata.present)
    present[:, 0] = True
    assert planted_world.scorer.reference is not None
    assert planted_world.scorer.reference.known(STREAMS, Batch(only_metadata.vectors, present)).all()
