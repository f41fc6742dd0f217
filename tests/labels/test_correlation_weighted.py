from __future__ import annotations

import numpy as np
import pytest

from viral.errors import TableError


def test_the_published_weights_and_scores_on_all_trending_posts(label, trending):
    fitted, labelled = label("correlation_weighted", trending)
    weights = [fitted.parameters[name] for name in ("likes", "comments", "shares")]
    assert weights == pytest.approx([0.0204114, 0.0865957, 0.2260354], abs=5e-8)
    assert labelled.target[:3] == pytest.approx([44892.9166, 839728.6752, 15326225.2482], abs=5e-5)
    assert labelled.mask.all()
    assert labelled.is_viral.sum() == 250


def test_by_hand(label, make):
    # likes follow the views exactly (r = 1), comments oppose them exactly (r = -1), shares half (r = 0.5).
    posts = make(views=[10, 20, 30], likes=[1, 2, 3], comments=[3, 2, 1], shares=[0, 6, 3])
    fitted, labelled = label("correlation_weighted", posts)
    assert fitted.parameters == pytest.approx({"likes": 0.0, "comments": 2.0, "shares": 0.5})
    assert labelled.target == pytest.approx([16.0, 27.0, 33.5])
    assert labelled.is_viral.tolist() == [False, False, True]


def test_the_weights_are_those_of_the_training_rows(label, make):
    posts = make(views=[10, 20, 30, 9], likes=[1, 2, 3, 900], comments=[3, 2, 1, 5], shares=[0, 6, 3, 1])
    fitted, labelled = label("correlation_weighted", posts, train=[1, 1, 1, 0])
    assert fitted.parameters["likes"] == pytest.approx(0.0)
    assert labelled.target == pytest.approx([16.0, 27.0, 33.5, 9 + 2 * 5 + 0.5])


def test_scaled_reaches_from_0_to_1_over_the_training_rows(label, make):
    posts = make(views=[10, 20, 30, 99], likes=[1, 2, 3, 4], comments=[3, 2, 1, 0], shares=[0, 6, 3, 1])
    _, raw = label("correlation_weighted", posts, train=[1, 1, 1, 0])
    _, scaled = label("correlation_weighted_scaled", posts, train=[1, 1, 1, 0])
    assert scaled.target[:3] == pytest.approx([0.0, 11 / 17.5, 1.0])
    assert scaled.target[3] == pytest.approx((raw.target[3] - 16) / 17.5)
    assert scaled.is_viral.tolist() == raw.is_viral.tolist()


def test_trending_scaled_shows_the_outliers(label, trending):
    _, labelled = label("correlation_weighted_scaled", trending)
    assert (labelled.target.min(), labelled.target.max()) == (0.0, 1.0)
    assert np.median(labelled.target) < 0.01


def test_a_count_that_never_varies_has_no_correlation(label, make):
    posts = make(views=[1, 2, 3], likes=[1, 2, 3], comments=[5, 5, 5], shares=[1, 2, 3])
    with pytest.raises(TableError, match="comments is the same in all 3 training posts"):
        label("correlation_weighted", posts)


def test_posts_without_a_count_are_dropped_and_counted(label, make):
    posts = make(
        views=[10, 20, 30, None, 5, None],
        likes=[1, 2, 3, 1, 1, None],
        comments=[3, 2, 1, 1, None, 1],
        shares=[0, 6, 3, 1, None, 1],
    )
    _, labelled = label("correlation_weighted", posts)
    assert labelled.mask.tolist() == [True, True, True, False, False, False]
    assert labelled.dropped == {"no_views": 2, "no_comments": 1}
    assert np.isfinite(labelled.target).all()
