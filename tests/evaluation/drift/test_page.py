"""The page of drift: whole, by itself, and saying what the JSON says."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from tests.evaluation.drift.test_drift import POSTS, right, weeks_of
from tests.evaluation.report.test_page import HOSTILE, Page
from viral.evaluation.drift.alarms import Limits
from viral.evaluation.drift.drift import drift
from viral.evaluation.drift.page import DriftReport


def report(**changes: object) -> DriftReport:
    outcomes, limits = right(), Limits()
    moved = replace(outcomes, y=np.where(weeks_of(outcomes, 2), outcomes.y + 3, outcomes.y))
    usual = {
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
    return DriftReport(**usual | changes)


def test_the_page_shows_alarms_windows_and_limits():
    made = report()
    page, text = Page(made.to_html()), made.to_html()
    assert page.open == []
    assert "script" not in page.tags
    assert not [value for name, value in page.attributes if name in ("src", "href") and not value.startswith("#")]
    for alarm in made.drift.alarms:
        assert alarm.sentence in text
    for window in made.drift.windows:
        assert window.days in text
    assert page.tags.count("svg") == 2
    assert text.count("stroke-dasharray") >= 4
    assert f"{POSTS:,} posts since 2024-03-04" in text
    assert "Left out: learnt from" in text


def test_without_alarms_or_with_one_window_it_is_whole():
    alone = drift(right(posts=40, weeks=1), Limits(), resamples=20)
    text = report(drift=alone, reference=None, notes=(HOSTILE,), model=HOSTILE).to_html()
    assert Page(text).open == []
    assert "<script" not in text and "None: no figure lies beyond its limit" in text


def test_the_json_holds_every_figure():
    made = report()
    written = json.loads(made.to_json())
    assert written["limits"]["coverage"] == [0.8, 0.97]
    assert len(written["drift"]["windows"]) == len(made.drift.windows)
    auc = made.drift.windows[0].figures["roc_auc"]
    assert written["drift"]["windows"][0]["figures"]["roc_auc"]["value"] == pytest.approx(auc.value)
