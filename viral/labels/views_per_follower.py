"""Views per follower of the author at scraping time: views / followers, a ratio with a long tail.

A post of an author without followers is dropped.
"""

from __future__ import annotations

import numpy as np

from viral.labels.columns import Array, Columns
from viral.labels.definition import Definition, Parameters


def _target(columns: Columns, _: Parameters) -> Array:
    followers = columns["author_followers"]
    target: Array = columns["views"] / np.where(followers > 0, followers, np.nan)
    return target


VIEWS_PER_FOLLOWER = Definition(
    name="views_per_follower", required=("views", "author_followers"), target=_target, undefined_reason="zero_followers"
)
