"""What-if moves in the planted direction, and says what it cannot try."""

from __future__ import annotations

import math
from datetime import UTC, datetime

import numpy as np
import pytest

from tests.explain.conftest import SECONDS, make_score
from viral.errors import ConfigError
from viral.explain.variants import Draft, Rescorer, Variant
from viral.explain.whatif import CHANGES, default_changes, parse_change, what_if
from viral.extractors.extractor import Context
from viral.media.window import ClipWindow
from viral.scoring.pair_residuals import PairResiduals

CONTEXT = Context("hi", posted_at=datetime(2025, 3, 1, 9, 30, tzinfo=UTC), author_followers=100, sound_original=False)


def test_changes_move_in_the_planted_direction(rescorer: Rescorer, clip: str) -> None:
    draft = Draft(clip, CONTEXT)
    (whole,) = rescorer([Variant(draft)])
    specs = ("followers=10000", "followers=1", "sound=original", "trim_end=6", "trim_start=7", "trim_start=6", "hour=3")
    result = what_if(rescorer, draft, SECONDS, whole, [parse_change(spec, CONTEXT) for spec in specs], None).results
    assert [each.spec for each in result] == list(specs)
    reach = 0.5 * (math.log1p(10000) - math.log1p(100)), 0.5 * (math.log1p(1) - math.log1p(100))
    assert [each.change for each in result] == pytest.approx([*reach, 1.0, -2.0, -2.0, 0.0, 0.0], abs=1e-5)
    assert all(each.low is None and each.high is None for each in result)


def test_the_interval_is_that_of_pairs_of_posts() -> None:
    rng = np.random.default_rng(0)
    predicted = rng.normal(size=2000)
    residuals = PairResiduals.fit(predicted, predicted + rng.normal(size=2000), np.repeat(np.arange(200), 10))
    words, draft = parse_change("caption=x", CONTEXT), Draft("a.mp4")
    (result,) = what_if(lambda _: [make_score(8.5)], draft, 9.0, make_score(8.0), [words], residuals).results
    assert result.change == pytest.approx(0.5)
    assert result.low == pytest.approx(0.5 - 1.645 * math.sqrt(2), abs=0.15)
    assert result.high == pytest.approx(0.5 + 1.645 * math.sqrt(2), abs=0.15)


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("caption=a=b, c", Context(caption="a=b, c")),
        ("hour=18", Context(posted_at=datetime(2025, 3, 1, 18, tzinfo=UTC))),
        ("sound=original", Context(sound_original=True)),
        ("sound_posts=3", Context(sound_posts_before=3)),
        ("sound_uses=0", Context(sound_uses_before=0)),
        ("followers=7", Context(author_followers=7)),
    ],
)
def test_a_change_is_in_one_thing(spec: str, expected: Context) -> None:
    found = vars(parse_change(spec, CONTEXT).context)
    other = {name: value for name, value in vars(expected).items() if value is not None}
    assert found == vars(CONTEXT) | other
    assert parse_change(spec, CONTEXT).variant(Draft("a.mp4", CONTEXT), 9.0).window is None


def test_trims_are_windows() -> None:
    draft = Draft("a.mp4", CONTEXT)
    assert parse_change("trim_start=1.5", CONTEXT).variant(draft, 9.0).window == ClipWindow(1.5)
    assert parse_change("trim_end=2", CONTEXT).variant(draft, 9.0).window == ClipWindow(0.0, 7.0)
    with pytest.raises(ConfigError, match=r"trim_end=9 leaves nothing of a video of 9 s"):
        parse_change("trim_end=9", CONTEXT).variant(draft, 9.0)


@pytest.mark.parametrize(
    ("spec", "message"),
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
def test_what_cannot_be_tried_is_one_clear_line(spec: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        parse_change(spec, CONTEXT)
    assert "\n" not in str(caught.value)


def test_an_hour_needs_a_day() -> None:
    with pytest.raises(ConfigError, match="'hour=3' needs to know the day"):
        parse_change("hour=3", Context())


def test_what_is_usually_tried_is_what_is_known() -> None:
    assert [each.spec for each in default_changes(Context(), 2.0)] == []
    assert [each.spec for each in default_changes(Context(), 9.0)] == ["trim_start=1", "trim_end=1"]
    at_six = Context(posted_at=datetime(2025, 3, 1, 6, tzinfo=UTC), sound_original=True)
    assert [each.spec for each in default_changes(at_six, 2.0)] == ["hour=0", "hour=12", "hour=18", "sound=reused"]
    assert {each.spec.partition("=")[0] for each in default_changes(CONTEXT, 9.0)} <= set(CHANGES)
