"""Compare a score with what the same author's earlier posts reached."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from viral.errors import UsageError
from viral.scoring.scorer import Score

VIEW_LABELS = ("log_views",)
"""Labels that are a function of the views alone, so that earlier posts can be put on the same scale."""


def check_comparable(label: str) -> None:
    """Raise UsageError unless views can be compared with scores of a label."""
    if label not in VIEW_LABELS:
        raise UsageError(f"views cannot be compared with {label}: use a model of {' or '.join(VIEW_LABELS)}")


def compare_with_author(score: Score, views: Sequence[int]) -> Score:
    """Return the score with `relative_to_author`: how it compares with the author's earlier posts.

    It has the number of `posts`, their `median` in the label's units, the `difference` of the score to it, the same as
    a factor of the views (`times`), and `percentile`, the percentage of the earlier posts that the score lies above.

    Args:
        score: of a draft.
        views: of the author's earlier posts. No model sees them.

    Raises:
        UsageError: no views, negative views, or a model of another label than views.
    """
    check_comparable(score.label)
    if not views or min(views) < 0:
        raise UsageError("author_views takes the views of one or more earlier posts, each 0 or more")
    # On the scale of the label `log_views`.
    reached = np.log1p(np.array(views, np.float64))
    median = float(np.median(reached))
    # A post with just this score counts half, as in any percentile with ties.
    below = (reached < score.score).mean() + (reached == score.score).mean() / 2
    relative = {
        "posts": float(len(views)),
        "median": median,
        "difference": score.score - median,
        # A difference of logarithms is a ratio of views.
        "times": float(np.exp(score.score - median)),
        "percentile": 100 * float(below),
    }
    return replace(score, relative_to_author=relative)
