from __future__ import annotations

from datetime import UTC, datetime

import pytest

from tests.explain.conftest import make_score
from viral.explain.drafts import rank
from viral.explain.hook import CurvePoint, HookCurve
from viral.explain.outcome import Outcome
from viral.explain.platform_facts import PlatformFacts
from viral.explain.segments import Segments, VideoSegment
from viral.explain.text import WIDTH, bars, lines
from viral.explain.whatif import WhatIf, WhatIfs
from viral.scoring.pair_residuals import PairResiduals
from viral.tables.schemas import PLATFORM_FACTS

PAIRS = PairResiduals((-1.0, 0.0, 1.0), 100, True)


def test_a_curve_is_a_chart() -> None:
    curve = HookCurve(
        (CurvePoint(1.0, make_score(8.0)), CurvePoint(2.0, make_score(9.0)), CurvePoint(2.5, make_score(8.5))),
        1.0,
        2.0,
        1.0,
    )
    assert lines(curve) == [
        "hook curve: the score of the first seconds alone; bars from the lowest to the highest",
        "      1 s     8.000  ·",
        f"      2 s     9.000  {'█' * WIDTH}",
        f"    2.5 s     8.500  {'█' * (WIDTH // 2)}",
        "  it rises most from 1 s to 2 s: +1.000",
    ]
    flat = HookCurve((CurvePoint(1.0, make_score(8.0)), CurvePoint(2.0, make_score(8.0))), None, None, None)
    assert lines(flat)[-1] == "  it never rises after the first second"


def test_what_became_of_a_post_comes_with_what_the_model_knows_of_it() -> None:
    outcome = Outcome(4320, None, 7, None, datetime(2025, 3, 1, tzinfo=UTC), 8.371, "train")
    assert lines(outcome) == [
        "outcome: what became of the post",
        "  2025-03-01: 4,320 views, 7 comments",
        "  its label is 8.371",
        "  the model was trained on this post: that its score is close says nothing",
    ]
    assert lines(Outcome(None, None, None, None, None))[1:] == ["  no counts"]


def test_the_other_sections() -> None:
    parts = Segments((VideoSegment(0.0, 1.0, make_score(7.5), -0.5), VideoSegment(1.0, 2.4, make_score(8.25), 0.25)))
    assert lines(parts)[1:] == [
        f"      0 to     1 s    -0.500  {'█' * WIDTH}",
        f"      1 to   2.4 s    +0.250  {'█' * (WIDTH // 2)}",
    ]
    tried = WhatIfs(
        (WhatIf("hour=6", make_score(8.1), 0.1, -1.0, 1.2), WhatIf("trim_end=1", make_score(8.0), 0.0, -1.1, 1.1))
    )
    assert lines(tried)[1:] == [
        "  hour=6         8.100    +0.100  (-1.00 to +1.20)",
        "  trim_end=1     8.000    +0.000  (-1.10 to +1.10)",
    ]
    drafts = {"a.mp4": make_score(8.0), "b.mp4": make_score(8.0)}
    assert lines(rank(drafts, PAIRS))[1:3] == ["  1. a.mp4  8.000", "       beats b.mp4 with 50%"]
    assert "no probabilities" in lines(rank(drafts, None))[-1]


def test_bars_of_nothing_and_of_equals() -> None:
    assert bars([]) == []
    assert bars([3.0, 3.0]) == ["·", "·"]


def test_a_section_that_nobody_can_read_is_refused() -> None:
    with pytest.raises(NotImplementedError, match="type int has no text"):
        lines(3)


def test_what_the_platform_says() -> None:
    row = dict.fromkeys(PLATFORM_FACTS) | {"subtitles": "so this is it " * 50, "sticker_texts": ["wait", "now"]}
    facts = PlatformFacts.from_row(row | {"is_ad": False, "made_with_ai": True})
    title, subtitles, *rest = lines(facts)
    assert title == "the platform's own words"
    assert subtitles.startswith("  subtitles      so this is it so this")
    assert subtitles.endswith(" …")
    assert len(subtitles) < 220
    assert rest == ["  sticker texts  wait · now", "  is ad          no", "  made with ai   yes"]
    assert PlatformFacts.from_row(dict.fromkeys(PLATFORM_FACTS)) is None
