from __future__ import annotations

import numpy as np

from viral.labels.bins import bin_keys
from viral.labels.columns import numeric_columns


def test_weeks_begin_on_monday(make):
    weeks = bin_keys(numeric_columns(make(day=[0, 6.99, 7, -0.01, None])), ["week"])
    assert weeks[0] == weeks[1] == "week=2871"
    assert weeks[2:] == ["week=2872", "week=2870", ""]


def test_ages_and_durations(make):
    columns = numeric_columns(make(day=[0, 0, 0], scraped_day=[0.5, 1, 400], duration_seconds=[14.9, 15, None]))
    assert bin_keys(columns, ["age"]) == ["age=0", "age=1", "age=8"]
    assert bin_keys(columns, ["duration"]) == ["duration=0", "duration=1", ""]
    assert bin_keys(columns, ["duration", "age"]) == ["duration=0,age=0", "duration=1,age=1", ""]


def test_a_label_within_weeks(label, make):
    day = [0.0] * 40 + [7.0] * 40
    posts = make(views=[*range(40), *range(1000, 1040)], day=day)
    _, overall = label("log_views", posts)
    fitted, within = label("log_views", posts, within=("week",))
    assert overall.is_viral[:40].sum() == 0
    assert (within.is_viral[:40].sum(), within.is_viral[40:].sum()) == (10, 10)
    assert np.array_equal(overall.target, within.target)
    assert list(fitted.threshold.bins) == ["week=2871", "week=2872"]
