from __future__ import annotations

import pytest


@pytest.mark.parametrize(
    ("definition", "rates"),
    [
        ("engagement_rate", [0.136, 2.0]),
        ("likes_per_view", [0.1, 1.0]),
        ("comments_per_view", [0.034, 0.6]),
        ("shares_per_view", [0.002, 0.4]),
        ("saves_per_view", [0.001, 0.2]),
    ],
)
def test_by_hand(label, make, definition, rates):
    posts = make(
        views=[1000, 5, 0, None], likes=[100, 5, 1, 1], comments=[34, 3, 1, 1], shares=[2, 2, 0, 0], saves=[1, 1, 1, 1]
    )
    _, labelled = label(definition, posts)
    assert labelled.target == pytest.approx(rates)
    assert labelled.dropped == {"no_views": 1, "zero_views": 1}
