"""What became of a post of the table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any


@dataclass(frozen=True)
class Outcome:
    """Counts of a post when it was scraped, and what the model has seen of it.

    Attributes:
        target: the post's label, in the units of the score; None if it has none.
        split: part of the model's split that the post is in; None if that is unknown.
    """

    views: int | None
    likes: int | None
    comments: int | None
    shares: int | None
    scraped_at: datetime | None
    target: float | None = None
    split: str | None = None

    @classmethod
    def from_row(cls, post: Mapping[str, Any], label: Mapping[str, Any] | None) -> Outcome:
        """Take it from a row of the posts table and from the post's row in the model's labels."""
        known = label or {}
        counts = {name: post[name] for name in OUTCOME_COLUMNS}
        return cls(**counts, target=known.get("target"), split=known.get("split"))


OUTCOME_COLUMNS = ("views", "likes", "comments", "shares", "scraped_at")
"""Columns of the posts table that an outcome is made of."""
