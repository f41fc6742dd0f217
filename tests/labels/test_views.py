"""log_views, daily_views and views_per_follower."""

from __future__ import annotations

import numpy as np
import pytest

from viral.labels import DEFINITIONS
from viral.labels.registry import definition


def test_log_views(label, make):
    _, labelled = label("log_views", make(views=[0, 9, None, 99]))
    assert labelled.target == pytest.approx([0.0, np.log(10), np.log(100)])
    assert labelled.dropped == {"no_views": 1}


def test_daily_views(label, make):
    posts = make(views=[70, 3, 0, 8, 8, 8], day=[0, 0, 0, 5, 5, None], scraped_day=[10, 0.5, 1, 5, 4, 3])
    _, labelled = label("daily_views", posts)
    assert labelled.target == pytest.approx([3.0, np.log2(7), 0.0])
    assert labelled.dropped == {"no_posted_at": 1, "scraped_before_posted": 2}


def test_views_per_follower(label, make):
    posts = make(views=[500, 10, 10, 10], author_followers=[100, 20, 0, None])
    _, labelled = label("views_per_follower", posts)
    assert labelled.target == pytest.approx([5.0, 0.5])
    assert labelled.dropped == {"no_author_followers": 1, "zero_followers": 1}


def test_which_labels_are_logarithms_of_a_count():
    assert {name for name in DEFINITIONS if definition(name).log_scale} == {"log_views", "daily_views", "log_uses"}
