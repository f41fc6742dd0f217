"""What-if moves in the planted direction, and says what it cannot try."""

from __future__ import annotations

import math
from datetime import UTC, datetime

import numpy as np
import pytest

from tests.explain.conftest import SECONDS, scored
from viral.errors import ConfigError
from viral.explain.variants import Draft, Rescorer, Variant
from viral.explain.whatif import CHANGES, change, usual, what_if
from viral.extractors.extractor import Context
from viral.media.window import Window
from viral.scoring.pair_residuals import Gaps

CONTEXT = Context("hi", posted_at=datetime(2025, 3, 1, 9, 30, tzinfo=UTC), author_followers=100, sound_original=False)


def test_changes_move_in_the_planted_direction(rescorer: Rescorer, clip: str) -> None:
    draft = Draft(clip, CONTEXT)
    (whole,) = rescorer([Variant(draft)])
    asked = ("followers=10000", "followers=1", "sound=original", "trim_end=6", "trim_start=7", "trim_start=6", "hour=3")
    tried = what_if(rescorer, draft, SECONDS, whole, [change(each, CONTEXT) for each in asked], None).tried
    assert [each.said for each in tried] == list(asked)
    reach = 0.5 * (math.log1p(10000) - math.log1p(100)), 0.5 * (math.log1p(1) - math.log1p(100))
    assert [each.change for each in tried] == pytest.approx([*reach, 1.0, -2.0, -2.0, 0.0, 0.0], abs=1e-5)
    assert all(each.low is None and each.high is None for each in tried)


def test_the_interval_is_that_of_pairs_of_posts() -> None:
    chance = np.random.default_rng(0)
    predicted = chance.normal(size=2000)
    gaps = Gaps.of(predicted, predicted + chance.normal(size=2000), np.repeat(np.arange(200), 10))
    words, draft = change("caption=x", CONTEXT), Draft("a.mp4")
    (tried,) = what_if(lambda _: [scored(8.5)], draft, 9.0, scored(8.0), [words], gaps).tried
    assert tried.change == pytest.approx(0.5)
    assert tried.low == pytest.approx(0.5 - 1.645 * math.sqrt(2), abs=0.15)
    assert tried.high == pytest.approx(0.5 + 1.645 * math.sqrt(2), abs=0.15)


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("caption=a=b, c", Context(caption="a=b, c")),
        ("hour=18", Context(posted_at=datetime(2025, 3, 1, 18, tzinfo=UTC))),
        ("sound=original", Context(sound_original=True)),
        ("sound_posts=3", Context(sound_posts_before=3)),
        ("sound_uses=0", Context(sound_uses_before=0)),
        ("followers=7", Context(author_followers=7)),
    ],
)
def test_a_change_is_in_one_thing(said: str, expected: Context) -> None:
    found = vars(change(said, CONTEXT).context)
    other = {name: value for name, value in vars(expected).items() if value is not None}
    assert found == vars(CONTEXT) | other
    assert change(said, CONTEXT).variant(Draft("a.mp4", CONTEXT), 9.0).window is None


def test_trims_are_windows() -> None:
    draft = Draft("a.mp4", CONTEXT)
    assert change("trim_start=1.5", CONTEXT).variant(draft, 9.0).window == Window(1.5)
    assert change("trim_end=2", CONTEXT).variant(draft, 9.0).window == Window(0.0, 7.0)
    with pytest.raises(ConfigError, match=r"trim_end=9 leaves nothing of a video of 9 s"):
        change("trim_end=9", CONTEXT).variant(draft, 9.0)


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ("colour=red", r"there is no change 'colour=red': write one of caption=…, hour=…"),
        ("caption", r"there is no change 'caption'"),
        ("hour=24", r"'hour=24' does not fit: hour takes an hour from 0 to 23"),
        ("hour=noon", r"does not fit"),
        ("sound=loud", r"sound takes original or reused"),
        ("followers=-1", r"followers takes a number of people"),
        ("trim_start=-1", r"trim_start takes seconds"),
        ("trim_end=nan", r"trim_end takes seconds"),
        ("trim_end=inf", r"trim_end takes seconds"),
    ],
)
def test_what_cannot_be_tried_is_one_clear_line(said: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        change(said, CONTEXT)
    assert "\n" not in str(caught.value)


def test_an_hour_needs_a_day() -> None:
    with pytest.raises(ConfigError, match="'hour=3' needs to know the day"):
        change("hour=3", Context())


def test_what_is_usually_tried_is_what_is_known() -> None:
    assert [each.said for each in usual(Context(), 2.0)] == []
    assert [each.said for each in usual(Context(), 9.0)] == ["trim_start=1", "trim_end=1"]
    at_six = Context(posted_at=datetime(2025, 3, 1, 6, tzinfo=UTC), sound_original=True)
    assert [each.said for each in usual(at_six, 2.0)] == ["hour=0", "hour=12", "hour=18", "sound=reused"]
    assert {each.said.partition("=")[0] for each in usual(CONTEXT, 9.0)} <= set(CHANGES)
