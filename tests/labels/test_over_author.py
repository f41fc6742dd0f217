from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from viral.labels import LabelSpec, fit


def test_by_hand(label, make):
    posts = make(
        author_id=["a", "b", "a", "a", "b", "a", None],
        day=[3, 1, 1, 2, 5, 4, 9],
        views=[100, 7, 10, 20, 15, 40, 50],
    )
    _, labelled = label("over_author", posts)
    # a: 10, 20, 100, 40 by day; b: 7, 15. The medians before each: 10, 15, 20; 7.
    log = np.log1p
    assert labelled.mask.tolist() == [True, False, False, True, True, True, False]
    assert labelled.target == pytest.approx(
        [log(100) - log(15), log(20) - log(10), log(15) - log(7), log(40) - log(20)]
    )
    assert labelled.dropped == {"no_author_id": 1, "no_earlier_post": 2}


def test_posts_of_the_same_moment_are_not_earlier(label, make):
    _, labelled = label("over_author", make(author_id=["a"] * 5, day=[1, 1, 1, 2, 3], views=[1, 2, 9, 50, 1]))
    assert labelled.target == pytest.approx([np.log1p(50) - np.log1p(2), np.log1p(1) - np.log1p(5.5)])


def test_a_later_post_changes_nothing_before_it(label, make):
    few = make(author_id=["a"] * 3, day=[1, 2, 3], views=[10, 20, 30])
    more = make(author_id=["a"] * 4, day=[1, 2, 3, 4], views=[10, 20, 30, 10**9])
    assert label("over_author", more)[1].target[:2].tolist() == label("over_author", few)[1].target.tolist()


def test_a_post_of_unknown_views_is_no_history(label, make):
    posts = make(author_id=["a"] * 4, day=[1, 2, 3, 4], views=[None, 20, 30, 5])
    _, labelled = label("over_author", posts)
    assert labelled.target == pytest.approx([np.log1p(30) - np.log1p(20), np.log1p(5) - np.log1p(25)])
    assert labelled.dropped == {"no_views": 1, "no_earlier_post": 1}


def test_against_medians_taken_the_slow_way(label, make):
    rng = np.random.default_rng(0)
    authors, days = rng.integers(0, 20, 400), rng.integers(0, 40, 400)
    views = rng.integers(0, 10_000, 400)
    posts = make(author_id=[str(a) for a in authors], day=days.tolist(), views=views.tolist())
    _, labelled = label("over_author", posts)
    slow = [
        np.log1p(views[i]) - np.log1p(np.median(before))
        for i in range(400)
        if len(before := views[(authors == authors[i]) & (days < days[i])])
    ]
    assert labelled.target == pytest.approx(slow)


def test_one_author_of_a_hundred_thousand_posts():
    size = 100_000
    moments = pa.array(np.arange(size) * 10**9 + 10**15).cast(pa.timestamp("us", "UTC"))
    views = pa.array(np.random.default_rng(0).integers(0, 10**6, size))
    posts = pa.table({"author_id": pa.array(["a"] * size), "posted_at": moments, "views": views})
    fitted = fit(LabelSpec("over_author"), posts, np.ones(size, bool))
    assert fitted.apply(posts).dropped == {"no_earlier_post": 1}
