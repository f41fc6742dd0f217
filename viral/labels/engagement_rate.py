"""Reactions per view: (likes + comments + shares) / views, and each count alone.

It says little about a post's reach, so it is a different target than the views. A post without views is dropped.
"""

from __future__ import annotations

import numpy as np

from viral.labels.columns import Array, Columns
from viral.labels.definition import Definition, Parameters


def _rate(name: str, counts: tuple[str, ...]) -> Definition:
    def target(columns: Columns, _: Parameters) -> Array:
        views = columns["views"]
        rate: Array = sum((columns[count] for count in counts), np.zeros(len(views))) / np.where(
            views > 0, views, np.nan
        )
        return rate

    return Definition(name=name, required=("views", *counts), target=target, undefined_reason="zero_views")


ENGAGEMENT_RATE = _rate("engagement_rate", ("likes", "comments", "shares"))
LIKES_PER_VIEW = _rate("likes_per_view", ("likes",))
COMMENTS_PER_VIEW = _rate("comments_per_view", ("comments",))
SHARES_PER_VIEW = _rate("shares_per_view", ("shares",))
SAVES_PER_VIEW = _rate("saves_per_view", ("saves",))
