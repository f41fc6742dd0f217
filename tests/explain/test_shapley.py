"""Shapley values: they add up, and they name what was planted."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from tests.planted import EFFECTS, STREAMS, World, posts
from viral.datasets.streams import Batch
from viral.errors import UsageError
from viral.explain.shapley import _values, shapley
from viral.scoring.calibration import log_odds
from viral.scoring.scorer import Scorer

FRESH = posts(40, 20)


def test_they_sum_to_the_difference_of_the_score(planted_world: World) -> None:
    scorer = planted_world.scorer
    predictions = scorer.predict(FRESH.batch)
    for row, values in enumerate(shapley(scorer, FRESH.batch)):
        assert set(values.score) == {
            s.modality for s, present in zip(STREAMS, FRESH.batch.present[row], strict=True) if present
        }
        assert values.base_score + sum(values.score.values()) == pytest.approx(predictions.score[row], abs=1e-5)
        odds = float(log_odds(predictions.probability[row : row + 1])[0])
        assert values.base_odds + sum(values.odds.values()) == pytest.approx(odds, abs=1e-5)


def test_they_rank_what_was_planted_and_follow_its_sign(planted_world: World) -> None:
    found = shapley(planted_world.scorer, FRESH.batch)
    mean = {m: np.mean([abs(each.score[m]) for each in found if m in each.score]) for m in EFFECTS}
    assert sorted(mean, key=lambda name: -mean[name]) == sorted(EFFECTS, key=lambda name: -EFFECTS[name])
    for modality in ("editing", "text"):
        there = [row for row, each in enumerate(found) if modality in each.score]
        values = [found[row].score[modality] for row in there]
        assert np.corrcoef(values, FRESH.traits[modality][there])[0, 1] > 0.7


def test_by_all_orders(planted_world: World) -> None:
    """What the formula weighs, written as what it means: the mean step over all orders of becoming known."""
    scorer, post = planted_world.scorer, FRESH.batch.take(np.flatnonzero(FRESH.batch.present.all(axis=1))[:1])
    (found,) = shapley(scorer, post)

    @cache
    def worth(known: frozenset[int]) -> float:
        present = np.zeros((1, len(STREAMS)), bool)
        present[0, list(known)] = True
        return float(scorer.predict(Batch(post.vectors, present)).score[0]) if known else found.base_score

    steps = {stream.modality: 0.0 for stream in STREAMS}
    for order in itertools.permutations(range(len(STREAMS))):
        for place, at in enumerate(order):
            steps[STREAMS[at].modality] += worth(frozenset(order[: place + 1])) - worth(frozenset(order[:place]))
    orders = math.factorial(len(STREAMS))
    assert found.score == pytest.approx({name: total / orders for name, total in steps.items()}, abs=1e-5)


def test_values_of_a_game_by_hand() -> None:
    # Glove game: 0 has a left one, 1 and 2 a right one each; a pair is worth 1.
    worth = np.array([float(bool(c & 1) and bool(c & 6)) for c in range(8)])
    assert _values(worth, 3) == pytest.approx([2 / 3, 1 / 6, 1 / 6])


def test_without_calibration_nothing_is_said_of_nothing(planted_world: World) -> None:
    raw = Scorer(replace(planted_world.scorer.saved, store=None))
    with pytest.raises(UsageError, match=r"planted/1 is not calibrated: `viral evaluate --model planted/1` does it"):
        shapley(raw, FRESH.batch)
