"""Hidden parts: nothing of them is seen or heard, and the part that matters is found."""

from __future__ import annotations

import pytest

from tests.explain.conftest import SECONDS
from viral.explain.segments import occlude, segment_spans
from viral.explain.variants import Draft, Rescorer, Variant


def test_the_part_with_the_bang_is_found(rescorer: Rescorer, clip: str) -> None:
    draft = Draft(clip)
    (whole,) = rescorer([Variant(draft)])
    segments = occlude(rescorer, draft, SECONDS, whole).parts
    changes = {(part.start, part.stop): part.change for part in segments}
    assert changes.pop((6.0, 8.0)) == pytest.approx(-2.0)
    assert list(changes.values()) == [0.0] * len(changes)
    assert segments[-1].stop == SECONDS


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0.4, [(0.0, 0.4)]),
        (3.6, [(0.0, 1.0), (1.0, 2.0), (2.0, 3.0), (3.0, 3.6)]),
        (3.4, [(0.0, 1.0), (1.0, 2.0), (2.0, 3.4)]),
        (12.4, [(0.0, 2.0), (2.0, 4.0), (4.0, 6.0), (6.0, 8.0), (8.0, 10.0), (10.0, 12.4)]),
    ],
)
def test_parts(seconds: float, expected: list[tuple[float, float]]) -> None:
    assert segment_spans(seconds) == expected


def test_a_minute_has_twelve_parts() -> None:
    assert [stop - start for start, stop in segment_spans(60.0)] == [5.0] * 12
