from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from viral.evaluation.bootstrap.by_author import AuthorBootstrap, Estimate, Rows


def interval(bootstrap: AuthorBootstrap, metric: Callable[[Rows], float | None]) -> Estimate:
    replicates = bootstrap.replicates(lambda rows: {"metric": metric(rows)})["metric"]
    return bootstrap.estimate(metric(np.arange(len(bootstrap.authors))), replicates)


def test_whole_authors_are_drawn() -> None:
    authors = np.array([7, 3, 7, 3, 3, 9])
    for rows in AuthorBootstrap(authors, resamples=50).draws():
        times = np.bincount(rows, minlength=6)
        assert times[0] == times[2] and times[1] == times[3] == times[4]
        assert times[0] + times[1] + times[5] == 3


def test_counts_are_those_of_the_draws_in_any_order() -> None:
    bootstrap = AuthorBootstrap(np.array([7, 3, 7, 3, 3, 9]), resamples=5)
    assert (bootstrap.num_authors, bootstrap.author_index.tolist()) == (3, [1, 0, 1, 0, 0, 2])
    later = bootstrap.counts(4)
    for resample, rows in enumerate(bootstrap.draws()):
        assert np.array_equal(bootstrap.counts(resample)[bootstrap.author_index], np.bincount(rows, minlength=6))
    assert np.array_equal(later, bootstrap.counts(4))


def test_the_mean_of_independent_posts_has_the_textbook_interval() -> None:
    y = np.random.default_rng(0).normal(size=2000)
    got = interval(AuthorBootstrap(np.arange(2000), 2000), lambda rows: float(y[rows].mean()))
    assert got.low is not None and got.high is not None
    assert got.high - got.low == pytest.approx(2 * 1.645 * y.std() / np.sqrt(2000), rel=0.08)


def test_authors_widen_the_interval() -> None:
    rng = np.random.default_rng(0)
    authors = np.repeat(np.arange(50), 40)
    y = rng.normal(size=50)[authors] + 0.2 * rng.normal(size=2000)

    def width(groups: np.ndarray) -> float:
        got = interval(AuthorBootstrap(groups, 500), lambda rows: float(y[rows].mean()))
        return (got.high or 0) - (got.low or 0)

    assert width(authors) > 4 * width(np.arange(2000))


def test_the_seed_decides() -> None:
    y = np.random.default_rng(0).normal(size=100)

    def seeded(seed: int) -> object:
        return interval(AuthorBootstrap(np.arange(100), 100, seed), lambda rows: float(y[rows].mean()))

    assert seeded(1) == seeded(1) != seeded(2)


def test_a_paired_difference_is_narrow() -> None:
    rng = np.random.default_rng(0)
    y = rng.normal(size=500)
    one, other = y + rng.normal(size=500), y + rng.normal(size=500)
    bootstrap = AuthorBootstrap(np.arange(500), 500)

    def difference(first: np.ndarray, second: np.ndarray) -> Estimate:
        gaps = (y - first) ** 2 - (y - second) ** 2
        return interval(bootstrap, lambda rows: float(gaps[rows].mean()))

    same = difference(one, one)
    assert (same.value, same.low, same.high) == (0, 0, 0)
    better = difference(y, other)
    assert better.high is not None and better.high < 0


def test_undefined_figures() -> None:
    bootstrap = AuthorBootstrap(np.arange(6), 200)
    assert interval(bootstrap, lambda rows: None).low is None
    # Defined for all rows, in few resamples only.
    rare = interval(bootstrap, lambda rows: 1.0 if len(np.unique(rows)) == 6 else None)
    assert (rare.value, rare.low) == (1.0, None)
    # In most: the rest is left out.
    usual = interval(bootstrap, lambda rows: 1.0 if len(np.unique(rows)) > 3 else None)
    assert (usual.low, usual.high) == (1.0, 1.0)


def test_an_interval_holds_its_figure() -> None:
    bootstrap = AuthorBootstrap(np.arange(10), 10)
    got = bootstrap.estimate(0.0, np.linspace(1, 2, 10))
    assert got.low == 0.0


def test_no_resamples() -> None:
    assert AuthorBootstrap(np.arange(3), 0).replicates(lambda rows: {"a": 1.0}) == {}
