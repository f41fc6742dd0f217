from __future__ import annotations

import numpy as np
import pytest

from tests.explain.conftest import make_score
from viral.explain.drafts import rank
from viral.scoring.pair_residuals import PairResiduals

DRAFTS = {"a": make_score(8.0), "b": make_score(9.0), "c": make_score(8.0)}


def test_the_highest_score_comes_first_with_how_sure_that_is() -> None:
    rng = np.random.default_rng(0)
    predicted = rng.normal(size=4000)
    actual = predicted + rng.normal(0, 1 / np.sqrt(2), 4000)  # a pair is off by a standard deviation of 1
    first, second, third = rank(DRAFTS, PairResiduals.fit(predicted, actual, np.arange(4000) // 10)).drafts
    assert [first.name, second.name, third.name] == ["b", "a", "c"]
    assert first.beats is not None and second.beats is not None and third.beats is not None
    assert first.beats == pytest.approx({"a": 0.841, "c": 0.841}, abs=0.02)
    assert second.beats == pytest.approx({"b": 0.159, "c": 0.5}, abs=0.02)
    assert first.beats["c"] + third.beats["b"] == pytest.approx(1)


def test_without_pairs_there_is_an_order_and_no_probability() -> None:
    assert [(draft.name, draft.beats) for draft in rank(DRAFTS, None).drafts] == [("b", None), ("a", None), ("c", None)]
