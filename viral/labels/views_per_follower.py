"""Views per follower of the author at scraping time: views / followers, a ratio with a long tail.

A post of an author without followers is dropped.
"""

from __future__ import annotations

from viral.labels.columns import positive
from viral.labels.definition import Definition

VIEWS_PER_FOLLOWER = Definition(
    name="views_per_follower",
    required=("views", "author_followers"),
    target=lambda columns, _: columns["views"] / positive(columns["author_followers"]),
    undefined_reason="zero_followers",
)
