"""Metrics of weighted rows against the libraries' metrics of the same rows repeated."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest

from viral.evaluation.bootstrap import metrics
from viral.evaluation.bootstrap.by_author import AuthorBootstrap
from viral.evaluation.bootstrap.pairs import sample_rows
from viral.evaluation.bootstrap.replicates import replicates
from viral.evaluation.bootstrap.settings import EvaluationSettings
from viral.evaluation.labels import Labels
from viral.evaluation.report.glossary import GLOSSARY
from viral.models.predictions import PredictionBatch

SETTINGS = EvaluationSettings(threshold=0.4, level=0.8, k=12, quartile=5.5, log_scale=True, resamples=10, seed=3)


@dataclass(frozen=True)
class Case:
    """Labels, one system's predictions, the top posts of each author, and settings."""

    labels: Labels
    predictions: PredictionBatch
    tops: tuple[np.ndarray, np.ndarray] | None
    settings: EvaluationSettings

    def change(self, **columns: object) -> Case:
        """The case with other columns, named as in `Labels` and `PredictionBatch`."""
        labels = {name: column for name, column in columns.items() if hasattr(self.labels, name)}
        predictions = {name: column for name, column in columns.items() if name not in labels}
        return replace(
            self, labels=replace(self.labels, **labels), predictions=replace(self.predictions, **predictions)
        )

    def bootstrap(self) -> AuthorBootstrap:
        return AuthorBootstrap(self.labels.authors, self.settings.resamples, self.settings.seed)


def labelled(y: np.ndarray, is_viral: np.ndarray, authors: np.ndarray | None = None) -> Labels:
    return Labels([str(row) for row in range(len(y))], np.arange(len(y)) if authors is None else authors, y, is_viral)


def case(rows: int = 120, authors: int = 25, digits: int = 9, **settings: object) -> Case:
    """Posts and predictions; few digits make many ties."""
    rng = np.random.default_rng(rows)
    y = np.round(5 + rng.normal(size=rows), digits)
    score = np.round(y + rng.normal(size=rows), digits)
    probability = np.round(1 / (1 + np.exp(5.5 - score)), digits)
    codes = rng.integers(authors, size=rows) ** 2
    tops = metrics.top(y, codes), metrics.top(score, codes)
    predictions = PredictionBatch(probability, score, score - 1, score + rng.random(rows))
    return Case(labelled(y, y > 5.5, codes), predictions, tops, SETTINGS.model_copy(update=settings))


def repeated(found: Case, rows: np.ndarray) -> metrics.Metrics:
    """The same metrics by the libraries, on repeated rows."""
    labels, batch, settings = found.labels, found.predictions, found.settings
    y, viral, score = labels.y[rows], labels.is_viral[rows], batch.score[rows]
    tie_breaker = metrics.fixed_tie_breaker(len(labels.y))[rows]
    k = max(1, round(settings.k * len(rows) / len(labels.y)))
    values = metrics.classification(viral, batch.probability[rows], settings.threshold)
    values |= metrics.regression(y, score, log_scale=settings.log_scale)
    values |= metrics.ranking(y, score, viral, k, tie_breaker=tie_breaker)
    values["top20_precision_within_author"] = None
    if found.tops:
        values["top20_precision_within_author"] = metrics.top_precision(*(top[rows] for top in found.tops))
    if settings.quartile is not None:
        values |= metrics.accuracy_above(y, score, settings.quartile)
    if batch.low is not None and batch.high is not None:
        values |= metrics.intervals(y, batch.low[rows], batch.high[rows], settings.level)
    return values


def weighted(found: Case, compared: np.ndarray | None = None) -> dict[str, np.ndarray]:
    rows = np.arange(len(found.labels.y)) if compared is None else compared
    systems = {"it": found.predictions}
    return replicates(found.bootstrap(), found.labels, systems, found.settings, rows, {"it": found.tops})["it"]


def checked(found: Case) -> dict[str, np.ndarray]:
    """The replicates of a case, each compared with the libraries."""
    got = weighted(found)
    expected = [repeated(found, rows) for rows in found.bootstrap().draws()]
    assert set(got) == set(expected[0])
    for name, values in got.items():
        column = np.array([np.nan if row[name] is None else row[name] for row in expected])
        np.testing.assert_allclose(values, column, rtol=1e-9, atol=1e-9, err_msg=name)
    return got


@pytest.mark.parametrize("digits", [9, 1, 0])
def test_weighted_figures_are_those_of_the_rows_repeated(digits: int) -> None:
    got = checked(case(digits=digits))
    assert set(got) == set(GLOSSARY)
    assert all(np.isfinite(values).all() and np.ptp(values) > 0 for values in got.values())


def test_authors_with_one_post_each_and_with_many() -> None:
    checked(case(60, authors=100_000))
    checked(case(400, authors=6, digits=2))


def test_one_author_one_post_and_two() -> None:
    for rows in (1, 2, 3):
        checked(case(rows, authors=1))
        checked(case(rows, authors=50, k=5))


def test_a_list_longer_than_the_posts() -> None:
    checked(case(k=500))


@pytest.mark.parametrize("viral", [False, True])
def test_one_class_has_no_curve(viral: bool) -> None:
    got = checked(case().change(is_viral=np.full(120, viral)))
    assert np.isnan(got["roc_auc"]).all() and np.isnan(got["pr_auc"]).all()


def test_a_class_that_is_in_some_resamples_only() -> None:
    one = np.arange(120) == 7
    got = checked(case().change(y=np.where(one, 9.0, 5.0), is_viral=one))
    for name in ("roc_auc", "recall", "recall_at_k", "spearman", "r2", "pearson", "kendall", "ndcg_at_k"):
        assert 0 < np.isnan(got[name]).sum() < len(got[name])


@pytest.mark.parametrize("value", [0.0, 0.1, 5.0])
def test_constant_columns(value: float) -> None:
    flat = np.full(120, value)
    checked(case().change(score=flat, probability=np.full(120, min(value, 1.0))))
    checked(case().change(y=flat))


def test_probabilities_on_the_edges_of_the_bins() -> None:
    edges = np.linspace(0, 1, 16)[np.arange(120) % 16]
    checked(case().change(probability=edges))
    checked(case().change(probability=np.round(edges, 1)))


def test_scores_of_zero_and_scores_that_are_no_logarithm_have_no_share() -> None:
    posts = case()
    rare = checked(posts.change(y=np.where(np.arange(120) == 7, 0, posts.labels.y)))["mape"]
    assert 0 < np.isnan(rare).sum() < len(rare)
    assert np.isnan(checked(case(log_scale=False))["mape"]).all()


def test_scores_far_from_zero_with_a_long_tail() -> None:
    posts = case()
    checked(posts.change(y=1e6 + np.exp(posts.labels.y**1.5), score=1e6 + posts.predictions.score))


def test_without_intervals_quartile_and_tops() -> None:
    got = checked(replace(case(quartile=None), tops=None).change(low=None, high=None))
    assert {"accuracy_at_75", "coverage", "width", "pinball"}.isdisjoint(got)
    assert np.isnan(got["top20_precision_within_author"]).all()


def test_all_systems_are_drawn_the_same_authors() -> None:
    posts = case()
    batch, bootstrap = posts.predictions, posts.bootstrap()
    reverse = replace(batch, score=-batch.score)
    systems = {"one": batch, "same": batch, "reverse": reverse}
    got = replicates(bootstrap, posts.labels, systems, posts.settings, np.arange(120))
    for name, values in got["one"].items():
        assert np.array_equal(values, got["same"][name], equal_nan=True)
    np.testing.assert_allclose(got["one"]["spearman"], -got["reverse"]["spearman"])
    alone = replicates(bootstrap, posts.labels, {"reverse": reverse}, posts.settings, np.arange(120))["reverse"]
    assert np.array_equal(alone["spearman"], got["reverse"]["spearman"])


def test_more_than_one_block_of_resamples() -> None:
    got, some = weighted(case(40, resamples=60)), weighted(case(40, resamples=30))
    for name, values in got.items():
        assert values.shape == (60,)
        np.testing.assert_allclose(values[:30], some[name], rtol=1e-12, err_msg=name)


def test_a_sample_is_of_whole_authors_and_within_its_limits() -> None:
    rng = np.random.default_rng(0)
    for count, people in ((30_000, 1000), (9000, 9000), (30_000, 30_000)):
        who = rng.integers(people, size=count)
        rows = sample_rows(who, 1)
        chosen = np.isin(who, who[rows])
        assert chosen.sum() == len(rows) <= 10_000
        assert len(np.unique(who[rows])) <= 2000
        assert len(rows) > 9_900 or len(np.unique(who[rows])) == 2000
        assert not np.array_equal(rows, sample_rows(who, 2))
    assert np.array_equal(sample_rows(who[:500], 1), np.arange(500))


def test_an_author_with_more_posts_than_can_be_compared_is_left_out() -> None:
    who = np.append(np.zeros(20_000, np.int64), [1, 1, 2])
    assert sample_rows(who, 0).tolist() == [20_000, 20_001, 20_002]
    assert not len(sample_rows(who[:20_000], 0))
    posts = case(50, resamples=4).change(authors=np.arange(50))
    got = weighted(posts, sample_rows(who[:20_000], 0))
    assert np.isnan(got["kendall"]).all() and np.isfinite(got["spearman"]).all()


def test_a_thousand_resamples_of_ten_thousand_posts() -> None:
    rng = np.random.default_rng(0)
    y, p, who = rng.normal(size=10_000), rng.random(10_000), rng.integers(1500, size=10_000)
    posts = Case(
        labelled(y, y > 0.84, who),
        PredictionBatch(p, p),
        None,
        SETTINGS.model_copy(update={"resamples": 1000, "seed": 0}),
    )
    got = weighted(posts)
    assert got["roc_auc"].std() == pytest.approx(0.0072, rel=0.2)
    assert got["kendall"].std() == pytest.approx(2 / 3 / 100, rel=0.2)
