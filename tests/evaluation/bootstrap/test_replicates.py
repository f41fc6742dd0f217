"""The figures of weighted rows, held to the libraries' figures of the same rows repeated."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pytest

from viral.evaluation.bootstrap import metrics
from viral.evaluation.bootstrap.by_author import AuthorBootstrap
from viral.evaluation.bootstrap.pairs import sampled
from viral.evaluation.bootstrap.replicates import replicates
from viral.evaluation.bootstrap.settings import Settings
from viral.evaluation.bootstrap.system import Judged, Outcome
from viral.evaluation.report.glossary import GLOSSARY

SETTINGS = Settings(
    threshold=0.4,
    level=0.8,
    k=12,
    quartile=5.5,
    log_scale=True,
    resamples=10,
    seed=3,
    compared_posts=0,
    compared_authors=0,
)
Case = tuple[np.ndarray, Outcome, Judged, Settings]


def case(rows: int = 120, authors: int = 25, digits: int = 9, **changes: object) -> Case:
    """Posts with as many ties as few digits make, and what some system said of them."""
    rng = np.random.default_rng(rows)
    y = np.round(5 + rng.normal(size=rows), digits)
    score = np.round(y + rng.normal(size=rows), digits)
    probability = np.round(1 / (1 + np.exp(5.5 - score)), digits)
    who = rng.integers(authors, size=rows) ** 2
    tops = metrics.top(y, who), metrics.top(score, who)
    judged = Judged(probability, score, score - 1, score + rng.random(rows), tops)
    return who, Outcome(y, y > 5.5), judged, SETTINGS.model_copy(update=changes)


def repeated(found: Case, rows: np.ndarray) -> metrics.Figures:
    """The same figures by the libraries, of rows that are there."""
    _, outcome, judged, settings = found
    y, viral, score, lots = outcome.y[rows], outcome.viral[rows], judged.score[rows], metrics.fixed_lots(len(outcome.y))
    k = max(1, round(settings.k * len(rows) / len(outcome.y)))
    figures = metrics.classification(viral, judged.probability[rows], settings.threshold)
    figures |= metrics.regression(y, score, log_scale=settings.log_scale)
    figures |= metrics.ranking(y, score, viral, k, lots=lots[rows])
    figures["top20_precision_within_author"] = None
    if judged.tops:
        figures["top20_precision_within_author"] = metrics.top_precision(judged.tops[0][rows], judged.tops[1][rows])
    if settings.quartile is not None:
        figures |= metrics.above(y, score, settings.quartile)
    if judged.low is not None and judged.high is not None:
        figures |= metrics.intervals(y, judged.low[rows], judged.high[rows], settings.level)
    return figures


def held(found: Case) -> dict[str, np.ndarray]:
    """The replicates of a case, once each of them is equal to the libraries' figure."""
    who, outcome, judged, settings = found
    authors = AuthorBootstrap(who, settings.resamples, settings.seed)
    got = replicates(authors, outcome, {"it": judged}, settings, np.arange(len(who)))["it"]
    expected = [repeated(found, rows) for rows in authors.draws()]
    assert set(got) == set(expected[0])
    for name, values in got.items():
        column = np.array([np.nan if row[name] is None else row[name] for row in expected])
        np.testing.assert_allclose(values, column, rtol=1e-9, atol=1e-9, err_msg=name)
    return got


@pytest.mark.parametrize("digits", [9, 1, 0])
def test_weighted_figures_are_those_of_the_rows_repeated(digits: int) -> None:
    got = held(case(digits=digits))
    assert set(got) == set(GLOSSARY)
    assert all(np.isfinite(values).all() and np.ptp(values) > 0 for values in got.values())


def test_authors_with_one_post_each_and_with_many() -> None:
    held(case(60, authors=100_000))
    held(case(400, authors=6, digits=2))


def test_one_author_one_post_and_two() -> None:
    for rows in (1, 2, 3):
        held(case(rows, authors=1))
        held(case(rows, authors=50, k=5))


def test_a_list_longer_than_the_posts() -> None:
    held(case(k=500))


@pytest.mark.parametrize("viral", [False, True])
def test_one_class_has_no_curve(viral: bool) -> None:
    who, outcome, judged, settings = case()
    got = held((who, replace(outcome, viral=np.full(120, viral)), judged, settings))
    assert np.isnan(got["roc_auc"]).all() and np.isnan(got["pr_auc"]).all()


def test_a_class_that_is_in_some_resamples_only() -> None:
    who, _, judged, settings = case()
    one = np.arange(120) == 7
    got = held((who, Outcome(np.where(one, 9.0, 5.0), one), judged, settings))
    for name in ("roc_auc", "recall", "recall_at_k", "spearman", "r2", "pearson", "kendall", "ndcg_at_k"):
        assert 0 < np.isnan(got[name]).sum() < len(got[name])


@pytest.mark.parametrize("value", [0.0, 0.1, 5.0])
def test_constant_columns(value: float) -> None:
    who, outcome, judged, settings = case()
    flat = np.full(120, value)
    held((who, outcome, replace(judged, score=flat, probability=np.full(120, min(value, 1.0))), settings))
    held((who, replace(outcome, y=flat), judged, settings))


def test_probabilities_on_the_edges_of_the_bins() -> None:
    who, outcome, judged, settings = case()
    edges = np.linspace(0, 1, 16)[np.arange(120) % 16]
    held((who, outcome, replace(judged, probability=edges), settings))
    held((who, outcome, replace(judged, probability=np.round(edges, 1)), settings))


def test_scores_of_zero_and_scores_that_are_no_logarithm_have_no_share() -> None:
    who, outcome, judged, settings = case()
    rare = held((who, replace(outcome, y=np.where(np.arange(120) == 7, 0, outcome.y)), judged, settings))["mape"]
    assert 0 < np.isnan(rare).sum() < len(rare)
    assert np.isnan(held(case(log_scale=False))["mape"]).all()


def test_scores_far_from_zero_with_a_long_tail() -> None:
    who, outcome, judged, settings = case()
    held((who, replace(outcome, y=1e6 + np.exp(outcome.y**1.5)), replace(judged, score=1e6 + judged.score), settings))


def test_without_intervals_quartile_and_tops() -> None:
    who, outcome, judged, settings = case(quartile=None)
    got = held((who, outcome, Judged(judged.probability, judged.score), settings))
    assert {"accuracy_at_75", "coverage", "width", "pinball"}.isdisjoint(got)
    assert np.isnan(got["top20_precision_within_author"]).all()


def test_all_systems_are_drawn_the_same_authors() -> None:
    who, outcome, judged, settings = case()
    other = replace(judged, score=-judged.score)
    authors = AuthorBootstrap(who, settings.resamples, settings.seed)
    got = replicates(authors, outcome, {"one": judged, "same": judged, "other": other}, settings, np.arange(120))
    for name, values in got["one"].items():
        assert np.array_equal(values, got["same"][name], equal_nan=True)
    np.testing.assert_allclose(got["one"]["spearman"], -got["other"]["spearman"])
    alone = replicates(authors, outcome, {"other": other}, settings, np.arange(120))["other"]
    assert np.array_equal(alone["spearman"], got["other"]["spearman"])


def test_more_than_one_block_of_resamples() -> None:
    who, outcome, judged, settings = case(40)
    authors = AuthorBootstrap(who, 60, 3)
    got = replicates(authors, outcome, {"it": judged}, settings, np.arange(40))["it"]
    some = replicates(replace(authors, resamples=30), outcome, {"it": judged}, settings, np.arange(40))["it"]
    for name, values in got.items():
        assert values.shape == (60,)
        np.testing.assert_allclose(values[:30], some[name], rtol=1e-12, err_msg=name)


def test_a_sample_is_of_whole_authors_and_within_its_limits() -> None:
    rng = np.random.default_rng(0)
    for count, people in ((30_000, 1000), (9000, 9000), (30_000, 30_000)):
        who = rng.integers(people, size=count)
        rows = sampled(who, 1)
        chosen = np.isin(who, who[rows])
        assert chosen.sum() == len(rows) <= 10_000
        assert len(np.unique(who[rows])) <= 2000
        assert len(rows) > 9_900 or len(np.unique(who[rows])) == 2000
        assert not np.array_equal(rows, sampled(who, 2))
    assert np.array_equal(sampled(who[:500], 1), np.arange(500))


def test_an_author_with_more_posts_than_can_be_compared_is_left_out() -> None:
    who = np.append(np.zeros(20_000, np.int64), [1, 1, 2])
    assert sampled(who, 0).tolist() == [20_000, 20_001, 20_002]
    assert not len(sampled(who[:20_000], 0))
    _, outcome, judged, settings = case(50)
    got = replicates(AuthorBootstrap(np.arange(50), 4), outcome, {"it": judged}, settings, sampled(who[:20_000], 0))
    assert np.isnan(got["it"]["kendall"]).all() and np.isfinite(got["it"]["spearman"]).all()


def test_a_thousand_resamples_of_ten_thousand_posts_in_seconds() -> None:
    rng = np.random.default_rng(0)
    y, p, who = rng.normal(size=10_000), rng.random(10_000), rng.integers(1500, size=10_000)
    authors = AuthorBootstrap(who, 1000)
    began = time.process_time()
    got = replicates(authors, Outcome(y, y > 0.84), {"it": Judged(p, p)}, SETTINGS, np.arange(10_000))["it"]
    assert time.process_time() - began < 10
    assert got["roc_auc"].std() == pytest.approx(0.0072, rel=0.2)
    assert got["kendall"].std() == pytest.approx(2 / 3 / 100, rel=0.2)
