from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import cross_val_score

from viral.demo import CorpusSpec, Effects, PlannedPost, plan_posts

TRAITS = ("author", "cut_rate", "opening_loudness", "mishap")


@pytest.fixture(scope="module")
def table() -> list[PlannedPost]:
    return plan_posts(CorpusSpec(posts=2000, authors=400))


def log_views(posts: list[PlannedPost]) -> npt.NDArray[np.float64]:
    return np.log1p([post.counts["views"] for post in posts])


def terms(posts: list[PlannedPost], names: tuple[str, ...] = TRAITS) -> npt.NDArray[np.float64]:
    return np.array([[post.terms[name] for name in names] for post in posts])


def metadata(posts: list[PlannedPost]) -> npt.NDArray[np.float64]:
    captions = [post.caption or "" for post in posts]
    columns = [
        [post.posted_at.hour for post in posts],
        [post.posted_at.weekday() for post in posts],
        [post.duration_seconds for post in posts],
        [np.log1p(post.followers) if post.followers is not None else 8.5 for post in posts],
        [len(caption) for caption in captions],
        [sum(letter.isupper() for letter in caption) / max(1, len(caption)) for caption in captions],
        [sum(word.strip(",.!?") in ("you", "your") for word in caption.split()) for caption in captions],
        *([caption.count(mark) for caption in captions] for mark in "#@?!"),
    ]
    return np.array(columns, dtype=np.float64).T


def r_squared(inputs: npt.NDArray[np.float64], target: npt.NDArray[np.float64]) -> float:
    return float(LinearRegression().fit(inputs, target).score(inputs, target))


def test_the_traits_explain_the_stated_share(table: list[PlannedPost]) -> None:
    views = log_views(table)
    assert r_squared(terms(table), views) == pytest.approx(0.8, abs=0.03)
    assert r_squared(terms(table, TRAITS[1:]), views) == pytest.approx(0.6, abs=0.04)
    assert r_squared(terms(table, TRAITS[:1]), views) == pytest.approx(0.2, abs=0.04)


def test_the_terms_are_what_was_added(table: list[PlannedPost]) -> None:
    assert LinearRegression().fit(terms(table), log_views(table)).coef_ == pytest.approx(np.ones(4), abs=0.1)


def test_metadata_tells_little_and_of_the_content_nothing(table: list[PlannedPost]) -> None:
    of_views = cross_val_score(LinearRegression(), metadata(table), log_views(table), cv=5, scoring="r2")
    of_content = cross_val_score(
        LinearRegression(), metadata(table), np.array([post.score for post in table]), cv=5, scoring="r2"
    )
    assert 0.03 < of_views.mean() < 0.15
    assert of_content.mean() < 0.01


def test_the_traits_are_independent(table: list[PlannedPost]) -> None:
    correlations = np.corrcoef(terms(table).T)
    assert np.abs(correlations[~np.eye(4, dtype=bool)]).max() < 0.07


def test_followers_tell_of_the_strength(table: list[PlannedPost]) -> None:
    authors = {post.author for post in table}
    strengths = [author.strength for author in authors]
    correlation = np.corrcoef(strengths, np.log([author.followers for author in authors]))[0, 1]
    assert correlation == pytest.approx(0.7, abs=0.08)


def test_modalities_are_missing_at_the_stated_shares(table: list[PlannedPost]) -> None:
    assert sum(post.clip.sound is None for post in table) == 100
    assert sum(post.caption is None for post in table) == 80
    assert sum(post.followers is None for post in table) == 80
    assert all(post.terms["opening_loudness"] == 0 for post in table if post.clip.sound is None)


def test_cuts_lie_inside_the_clip_and_apart(table: list[PlannedPost]) -> None:
    for post in table:
        edges = (0, *post.clip.cuts, post.clip.frames)
        assert min(np.diff(edges)) >= 2


def test_times_and_counts_are_possible(table: list[PlannedPost]) -> None:
    times = [post.posted_at for post in table]
    assert times == sorted(times)
    assert (table[0].scraped_at - times[-1]).days >= 30
    assert (times[-1] - times[0]).days in range(118, 121)
    assert all(post.counts["views"] >= max(post.counts.values()) for post in table)
    assert all(min(post.counts.values()) >= 0 for post in table)


def test_every_author_posts() -> None:
    posts = plan_posts(CorpusSpec(posts=50, authors=48))
    assert len({post.author.author_id for post in posts}) == 48


def test_the_same_seed_gives_the_same_posts_and_another_one_others() -> None:
    spec = CorpusSpec(posts=20, authors=5, seed=1)
    assert plan_posts(spec) == plan_posts(CorpusSpec(posts=20, authors=5, seed=1))
    assert [post.score for post in plan_posts(spec)] != [
        post.score for post in plan_posts(CorpusSpec(posts=20, authors=5, seed=2))
    ]


def test_without_effects_and_noise_all_posts_are_seen_alike() -> None:
    nothing = Effects(author=0, cut_rate=0, opening_loudness=0, mishap=0)
    posts = plan_posts(CorpusSpec(posts=20, authors=5, noise=0, effects=nothing))
    assert len({post.counts["views"] for post in posts}) == 1
