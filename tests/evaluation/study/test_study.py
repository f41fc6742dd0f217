from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
import pytest

from tests.evaluation.conftest import ABOUT, SPLIT
from tests.evaluation.report.test_page import HOSTILE, Page
from viral.evaluation.bootstrap.by_author import Estimate
from viral.evaluation.report.report import MODEL, Report, System
from viral.evaluation.study.page import render
from viral.evaluation.study.study import (
    METRICS,
    Flattery,
    LabelResult,
    SplitResult,
    Study,
    difference,
    flattery,
    spread,
)


def split_result(
    kind: str = "time_author", *, good: float = 0.6, seed: int = 0, author_fraction: float = 1.0
) -> SplitResult:
    """A model with metrics of `good`, and two baselines, with intervals of 0.05 to either side."""
    noise = 0.001 * seed
    metrics = {name: Estimate(good + noise, good + noise - 0.05, good + noise + 0.05) for name in METRICS}
    flat = {"roc_auc": Estimate(0.5, 0.5, 0.5), "rmse": Estimate(1.2, 1.1, 1.4), "spearman": Estimate(None)}
    return SplitResult(
        model="log_views/1",
        split=kind,
        seed=seed,
        author_fraction=author_fraction,
        scorecard=f"scorecards/{kind}-{seed}-{author_fraction:g}.html",
        parts=SPLIT.parts,
        systems=(
            System(name=MODEL, metrics=metrics),
            System(name="constant", metrics=flat),
            System(name="author_earlier_median", unavailable="no test post has an earlier training post"),
        ),
    )


@pytest.fixture
def study() -> Study:
    """A study whose random split flatters."""
    headline, random = split_result(), split_result("random", good=0.8)
    label = {"viral": "the top quarter", "crowded": 0.93, "extent": 100.0, "result": headline}
    about = ("corpus", "feature_set", "inputs", "synthetic", "score", "code_version")
    return Study(
        title="Study of posts",
        model="ensemble",
        **{name: getattr(ABOUT, name) for name in about},
        gap_days=30,
        level=0.9,
        resamples=60,
        splits=(headline, split_result("time"), random),
        skipped={"log_views-author-ensemble": "2 authors cannot be split in three"},
        flattery=flattery(headline, random),
        seeds=(headline, split_result(seed=1), split_result(seed=2)),
        curve=(split_result(author_fraction=0.25, good=0.4), split_result(author_fraction=0.5, good=0.5), headline),
        labels=(
            LabelResult(definition="log_views", **label),
            LabelResult(definition="correlation_weighted_scaled", **label),
        ),
    )


def test_flattery_is_random_less_headline() -> None:
    told = {item.system: item.metrics for item in flattery(split_result(), split_result("random", good=0.8))}
    assert list(told) == [MODEL, "constant"]
    assert told[MODEL]["roc_auc"].value == pytest.approx(0.2)
    assert told[MODEL]["roc_auc"].low == pytest.approx(0.2 - 0.05 * 2**0.5)
    assert told["constant"]["rmse"].value == 0
    assert told["constant"]["spearman"].value is None
    assert flattery(split_result(), None) == ()


def test_a_scorecard_is_narrowed_to_what_is_compared(judge: Callable[..., Report]) -> None:
    card = judge(resamples=2)
    found = SplitResult.from_report(card, seed=0, author_fraction=1.0, scorecard="a.html")
    assert (found.model, found.split, found.parts) == ("fusion 1", "time_author", card.split.parts)
    assert [each.name for each in found.systems] == [MODEL, "constant", "metadata_gbm"]
    assert {name for each in found.systems for name in each.metrics} == set(METRICS)
    assert found.metric("metadata_gbm", "rmse") == card.systems[2].metrics["rmse"]
    assert found.metric("system_a", "rmse") is None


def test_the_interval_of_a_difference_is_put_together_from_both() -> None:
    told = difference(Estimate(0.7, 0.66, 0.76), Estimate(0.6, 0.52, 0.63))
    assert (told.value, told.low, told.high) == pytest.approx((0.1, 0.05, 0.2))
    assert difference(Estimate(None), Estimate(0.5)) == Estimate(None)
    assert difference(Estimate(0.7), Estimate(0.5, 0.4, 0.6)).low is None


def test_the_interval_of_a_difference_covers_it() -> None:
    """Of two independent means with 90 % intervals of their own."""
    rng = np.random.default_rng(0)
    first, second = rng.normal(1.0, 1.0, 4000), rng.normal(0.4, 3.0, 4000)
    told = [
        difference(Estimate(a, a - 1.645, a + 1.645), Estimate(b, b - 4.935, b + 4.935))
        for a, b in zip(first, second, strict=True)
    ]
    assert np.mean([(each.low or 0) <= 0.6 <= (each.high or 0) for each in told]) == pytest.approx(0.9, abs=0.02)


def test_spread_over_trainings() -> None:
    found = spread([split_result(seed=seed) for seed in range(3)])
    assert found["rmse"] == pytest.approx((0.601, 0.001, 0.6, 0.602))
    assert spread([split_result()]) == {}


def test_the_page_says_what_flatters(study: Study) -> None:
    page = Page(render(study))
    assert page.open == [] and "script" not in page.tags
    text = " ".join("".join(page.text).split())
    assert "ROC-AUC on newer posts by authors never seen" in text and "that split is too optimistic" in text
    assert "2 authors cannot be split in three" in text
    assert "93 %" in text  # crowded in the lowest hundredth
    assert text.count("correlation weighted scaled") == 1
    assert "Most so for" not in text  # any baseline more than the model
    links = [value for name, value in page.attributes if name == "href"]
    assert set(links) == {each.scorecard for each in (*study.splits, *study.curve)}
    assert not re.search(r"https?://(?!www\.w3\.org)", render(study))


def test_the_baseline_that_is_flattered_most_is_named(study: Study) -> None:
    metrics = {"roc_auc": Estimate(0.3, 0.1, 0.4), "spearman": Estimate(0.3, -0.1, 0.4)}
    told = (*study.flattery, Flattery(system="text_linear", metrics=metrics))
    text = " ".join(render(study.model_copy(update={"flattery": told})).split())
    assert text.count("Most so for text linear, by +0.300 (0.100 to 0.400).") == 1


def test_the_constant_stands_beside_each_label(study: Study) -> None:
    flat = study.labels[0].result.metric("constant", "rmse")
    assert flat and flat.value is not None
    assert f"{flat.value / 100:.2g}" in render(study)  # as a share of the range


def test_a_study_of_one_split(study: Study) -> None:
    alone = study.model_copy(update={"splits": study.splits[:1], "flattery": (), "seeds": (), "curve": ()})
    text = "".join(Page(render(alone)).text)
    assert "optimistic" not in text
    assert "What more authors" not in text and "Variation between" not in text


def test_json_round_trip_and_the_same_bytes(study: Study) -> None:
    assert Study.model_validate_json(study.to_json()) == study
    assert render(study) == render(study)


def test_nothing_of_a_stranger_reaches_the_browser_as_markup(study: Study) -> None:
    changed = study.model_copy(update={"title": HOSTILE, "corpus": HOSTILE, "skipped": {HOSTILE: HOSTILE}})
    page = Page(render(changed))
    assert page.open == [] and not {"script", "img"} & set(page.tags)
    assert not [name for name, _ in page.attributes if name.startswith("on")]


def test_what_a_split_lacks_is_said(study: Study) -> None:
    systems = (
        *study.headline.systems[:2],
        System(name="author_earlier_median", metrics=study.headline.systems[1].metrics),
    )
    random = study.splits[-1].model_copy(update={"systems": systems})
    text = "".join(Page(render(study.model_copy(update={"splits": (study.headline, random)}))).text)
    text = " ".join(text.split())
    assert "author earlier median is unavailable under time author: no test post has an earlier training post." in text
    assert "is unavailable under random" not in text
