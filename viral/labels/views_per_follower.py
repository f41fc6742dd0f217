"""The views for each follower that the author had when the post was scraped: views / followers.

A ratio with a long tail; an author without followers has none, and the post is dropped.
"""

from __future__ import annotations

import numpy as np

from viral.labels.columns import Array, Columns
from viral.labels.definition import Definition, Fitted


def _target(columns: Columns, _: Fitted) -> Array:
    followers = columns["author_followers"]
    target: Array = columns["views"] / np.where(followers > 0, followers, np.nan)
    return target


VIEWS_PER_FOLLOWER = Definition(
    name="views_per_follower", needs=("views", "author_followers"), target=_target, undefined="zero_followers"
)
