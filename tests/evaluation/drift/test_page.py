"""The drift page is valid and self-contained, and shows what the JSON has."""

from __future__ import annotations

import json

import numpy as np
import pytest

from tests.evaluation.drift.test_drift import POSTS, changed, right, weeks_of
from tests.evaluation.report.test_page import HOSTILE, Page
from viral.evaluation.drift.alarms import AlarmLimits
from viral.evaluation.drift.drift import drift
from viral.evaluation.drift.page import DriftReport


def report(**changes: object) -> DriftReport:
    posts, limits = right(), AlarmLimits()
    moved = changed(posts, y=np.where(weeks_of(posts, 2), posts.labels.y + 3, posts.labels.y))
    defaults = {
        "model": "m/1",
        "since": "2024-03-04",
        "every": 7,
        "limits": limits,
        "reference": 0.8,
        "left_out": {"learnt from": 12},
        "synthetic": False,
        "code_version": "0",
        "drift": drift(moved, limits, resamples=20),
    }
    return DriftReport(**defaults | changes)


def test_the_page_shows_alarms_windows_and_limits():
    drift_report = report()
    page, text = Page(drift_report.to_html()), drift_report.to_html()
    assert page.open == []
    assert "script" not in page.tags
    assert not [value for name, value in page.attributes if name in ("src", "href") and not value.startswith("#")]
    for alarm in drift_report.drift.alarms:
        assert alarm.sentence in text
    for window in drift_report.drift.windows:
        assert window.days in text
    assert page.tags.count("svg") == 2
    assert text.count("stroke-dasharray") >= 4
    assert f"{POSTS:,} posts since 2024-03-04" in text
    assert "Left out: learnt from" in text


def test_without_alarms_or_with_one_window_it_is_whole():
    alone = drift(right(posts=40, weeks=1), AlarmLimits(), resamples=20)
    text = report(drift=alone, reference=None, notes=(HOSTILE,), model=HOSTILE).to_html()
    assert Page(text).open == []
    assert "<script" not in text and "None: no metric lies beyond its limit" in text


def test_the_json_holds_every_figure():
    drift_report = report()
    written = json.loads(drift_report.to_json())
    assert written["limits"]["coverage"] == [0.8, 0.97]
    assert len(written["drift"]["windows"]) == len(drift_report.drift.windows)
    auc = drift_report.drift.windows[0].metrics["roc_auc"]
    assert written["drift"]["windows"][0]["figures"]["roc_auc"]["value"] == pytest.approx(auc.value)
