from __future__ import annotations

import json

import numpy as np
import pytest

from viral.errors import ConfigError, TableError
from viral.labels import DEFINITIONS, FittedLabel, LabelSpec, fit


@pytest.fixture
def posts(make):
    """300 posts that have everything but a count here and there."""
    rng = np.random.default_rng(0)
    views = rng.integers(0, 100_000, 300)

    def counts(share):
        return [None if rng.random() < 0.05 else int(v * share * rng.random()) for v in views]

    return make(
        views=views.tolist(),
        likes=counts(0.1),
        comments=counts(0.01),
        shares=counts(0.02),
        saves=counts(0.02),
        sound_uses=(1 + views % 1000).tolist(),
        author_followers=rng.integers(0, 1000, 300).tolist(),
        author_id=[str(n) for n in rng.integers(0, 30, 300)],
        day=rng.random(300).tolist(),
        scraped_day=(1 + 20 * rng.random(300)).tolist(),
        duration_seconds=(60 * rng.random(300)).tolist(),
    )


@pytest.mark.parametrize("definition", DEFINITIONS)
def test_every_definition_gives_finite_targets_and_accounts_for_every_post(label, posts, definition):
    _, labelled = label(definition, posts)
    assert np.isfinite(labelled.target).all()
    assert labelled.target.dtype == np.float64
    assert labelled.mask.shape == (300,)
    assert labelled.mask.sum() == len(labelled.target) == len(labelled.is_viral)
    assert labelled.mask.sum() + sum(labelled.dropped.values()) == 300
    assert 0 < labelled.is_viral.sum() <= np.ceil(0.25 * len(labelled.target))


@pytest.mark.parametrize("definition", DEFINITIONS)
def test_what_was_stored_labels_the_same(label, posts, definition):
    train = np.arange(300) % 3 > 0
    fitted, labelled = label(definition, posts, train=train, top_fraction=0.3, within=("age", "duration"))
    loaded = FittedLabel.from_dict(json.loads(json.dumps(fitted.to_dict())))
    assert loaded == fitted
    again = loaded.apply(posts)
    assert np.array_equal(again.target, labelled.target)
    assert np.array_equal(again.is_viral, labelled.is_viral)


@pytest.mark.parametrize("definition", [name for name in DEFINITIONS if name != "over_author"])
def test_nothing_is_learnt_from_other_rows(label, posts, definition):
    train = np.arange(300) < 200
    _, whole = label(definition, posts, train=train)
    _, alone = label(definition, posts.slice(0, 200))
    assert np.array_equal(whole.target[: len(alone.target)], alone.target)
    assert np.array_equal(whole.is_viral[: len(alone.target)], alone.is_viral)


@pytest.mark.parametrize("definition", DEFINITIONS)
def test_columns_that_nothing_is_known_of_are_one_clear_error(make, definition):
    needed = "sound_uses" if definition == "log_uses" else "views"
    with pytest.raises(TableError, match=f"label {definition} needs .*{needed}.* but no training post has .*{needed}"):
        fit(LabelSpec(definition), make(likes=[1, 2, 3]), np.ones(3, bool))


def test_only_the_training_rows_count_for_that(make):
    with pytest.raises(TableError, match="no training post has views"):
        fit(LabelSpec("log_views"), make(views=[None, 1, 2]), np.array([True, False, False]))


def test_training_posts_that_are_all_undefined_are_an_error(make):
    with pytest.raises(TableError, match="engagement_rate drops all 2 training posts: zero_views"):
        fit(
            LabelSpec("engagement_rate"),
            make(views=[0, 0], likes=[1, 1], comments=[1, 1], shares=[1, 1]),
            np.ones(2, bool),
        )


def test_no_training_posts_and_no_posts(make):
    with pytest.raises(TableError, match="there are no training posts"):
        fit(LabelSpec("log_views"), make(views=[1, 2]), np.zeros(2, bool))
    fitted = fit(LabelSpec("log_views", within=("week",)), make(views=[1, 2]), np.ones(2, bool))
    assert len(fitted.apply(make(views=[])).target) == 0


def test_training_rows_that_are_not_those_of_the_table(make):
    with pytest.raises(ValueError, match="the table 2 rows"):
        fit(LabelSpec("log_views"), make(views=[1, 2]), np.ones(3, bool))


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"definition": "likes"}, "no label 'likes'; there are: correlation_weighted, "),
        ({"definition": "log_views", "top_fraction": 0.0}, "top_fraction is 0.0; it must be between 0 and 1"),
        ({"definition": "log_views", "top_fraction": 25}, "top_fraction is 25"),
        ({"definition": "log_views", "within": ("month",)}, "no bin 'month'; there are: week, age, duration"),
    ],
)
def test_a_label_that_does_not_exist_is_refused(spec, message):
    with pytest.raises(ConfigError, match=message):
        LabelSpec(**spec)


def test_every_definition_that_the_data_allows_labels_real_posts(label, trending):
    computable = {
        name for name in DEFINITIONS if name not in ("daily_views", "views_per_follower", "saves_per_view", "log_uses")
    }
    for name in sorted(computable):
        _, labelled = label(name, trending)
        assert np.isfinite(labelled.target).all()
        assert 0.24 < labelled.is_viral.mean() < 0.26
