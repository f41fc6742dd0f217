"""Weights of several models."""

from __future__ import annotations

import numpy as np
import pytest

from viral.errors import ConfigError
from viral.models.ensemble.member import log_loss, squared_loss
from viral.models.mixing import MixingWeights, learn_weights, mix, normalise_weights
from viral.models.predictions import PredictionBatch


def make_predictions(count: int = 2000) -> tuple[list[PredictionBatch], np.ndarray, np.ndarray]:
    """Predictions of a good model, of a weaker independent one, and of noise."""
    rng = np.random.default_rng(0)
    first, second = rng.normal(size=(2, count))
    score = first + 0.5 * second + 0.3 * rng.normal(size=count)
    viral = score > 0.7
    predictions = []
    for middle in (1.2 * first, 1.2 * second, rng.normal(size=count)):
        quantiles = np.stack([middle - 1.5, middle, middle + 1.5], axis=1)
        predictions.append(PredictionBatch.from_quantiles(1 / (1 + np.exp(2 - 2.5 * middle)), quantiles))
    return predictions, viral, score


def test_learnt_weights_are_a_mixture_better_than_any_alone() -> None:
    predictions, viral, score = make_predictions()
    weights = learn_weights(predictions, viral, score)
    for values in (weights.probability, weights.score, weights.interval):
        assert (values >= 0).all()
        assert values.sum() == pytest.approx(1)
    assert weights.score[0] > weights.score[1] > 0
    assert weights.score[2] < 0.02
    mixed = mix(predictions, weights)
    assert log_loss(mixed.probability, viral) < min(
        log_loss(prediction.probability, viral) for prediction in predictions
    )
    errors = [squared_loss(prediction.score, score) for prediction in predictions]
    assert squared_loss(mixed.score, score) < min(errors)
    # Without the noise, one weight is left to find, and least squares gives it in one line.
    first, second = (prediction.score for prediction in predictions[:2])
    exact = np.dot(first - second, score - second) / np.dot(first - second, first - second)
    np.testing.assert_allclose(weights.score, [exact, 1 - exact, 0], atol=0.02)


def test_one_model_gets_all_the_weight() -> None:
    predictions, viral, score = make_predictions(50)
    assert learn_weights(predictions[:1], viral, score).score.tolist() == [1.0]


def test_one_class_alone_still_has_weights() -> None:
    predictions, _, score = make_predictions(50)
    assert learn_weights(predictions, np.zeros(50, bool), score).probability.sum() == pytest.approx(1)


def test_given_weights_are_shares() -> None:
    weights = normalise_weights(("a", "b", "c"), {"a": 3, "c": 1})
    assert weights.probability.tolist() == weights.interval.tolist() == [0.75, 0.0, 0.25]
    assert MixingWeights.from_dicts([weights.to_dict(0), weights.to_dict(2)]).score.tolist() == [0.75, 0.25]


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ({"z": 1.0}, "no member is named 'z': choose from a, b"),
        ({"a": 0.0}, "0 or more, and not all 0"),
        ({"a": -1.0, "b": 2.0}, "0 or more"),
        ({"a": float("nan")}, "0 or more"),
    ],
)
def test_weights_that_cannot_be(weights: dict[str, float], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        normalise_weights(("a", "b"), weights)


def test_one_that_cannot_say_anything_leaves_its_weight_to_the_others() -> None:
    predictions, _, _ = make_predictions(3)
    has_inputs = np.array([[True, True, False], [False, True, False], [False, False, True]])
    mixed = mix(predictions, normalise_weights(("a", "b", "c"), {"a": 1, "b": 1}), has_inputs)
    expected = (
        (predictions[0].probability[0] + predictions[1].probability[0]) / 2,
        predictions[1].probability[1],
        predictions[2].probability[2],
    )
    np.testing.assert_allclose(mixed.probability, expected)


def test_ends_that_cross_the_middle_give_way() -> None:
    low, high = (
        PredictionBatch.from_quantiles(np.array([0.5]), np.array([[start, start + 1.0, start + 2.0]]))
        for start in (0.0, 10.0)
    )
    weights = MixingWeights(np.array([1.0, 0.0]), np.array([1.0, 0.0]), np.array([0.0, 1.0]))
    assert mix([low, high], weights).quantiles.tolist() == [[1.0, 1.0, 12.0]]
