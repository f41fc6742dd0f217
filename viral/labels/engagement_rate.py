"""Reactions per view: (likes + comments + shares) / views, and each count alone.

It says little about a post's reach, so it is another target than the views. A post without views is dropped.
"""

from __future__ import annotations

from viral.labels.columns import Array, Columns, positive
from viral.labels.definition import Definition, Parameters


def _rate(name: str, *counts: str) -> Definition:
    def target(columns: Columns, _: Parameters) -> Array:
        """Return the sum of the counts per view; NaN where views are zero."""
        return sum((columns[count] for count in counts[1:]), columns[counts[0]]) / positive(columns["views"])

    # A rate needs only its own counts: a scrape without shares still has a like rate.
    return Definition(name=name, required=("views", *counts), target=target, undefined_reason="zero_views")


ENGAGEMENT_RATES = (
    _rate("engagement_rate", "likes", "comments", "shares"),
    _rate("likes_per_view", "likes"),
    _rate("comments_per_view", "comments"),
    _rate("shares_per_view", "shares"),
    _rate("saves_per_view", "saves"),
)
