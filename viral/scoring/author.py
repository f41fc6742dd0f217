"""A score beside what the same author's earlier posts reached."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from viral.errors import UsageError
from viral.scoring.scorer import Scored

LABELS = ("log_views",)
"""The labels that views alone decide, so that earlier posts can be brought to the same scale."""


def beside_author(scored: Scored, views: Sequence[int]) -> Scored:
    """The same, with `relative_to_author`: what the score means for one who usually reaches so much.

    `posts` of the author, their `median` in the label's units, how far the score lies above it (`difference`), the same
    as a factor of the views (`times`), and `percentile`, the share of the earlier posts that the score lies above.

    Args:
        scored: of a draft.
        views: of the author's earlier posts. No model sees them.

    Raises:
        UsageError: no views, negative ones, or the model's label is another one than views.
    """
    if scored.label not in LABELS:
        raise UsageError(f"the author's views say nothing beside {scored.label}: use a model of {' or '.join(LABELS)}")
    if not views or min(views) < 0:
        raise UsageError("author_views takes the views of one or more earlier posts, each 0 or more")
    reached = np.log1p(np.array(views, np.float64))
    median = float(np.median(reached))
    below = (reached < scored.score).mean() + (reached == scored.score).mean() / 2
    relative = {
        "posts": float(len(views)),
        "median": median,
        "difference": scored.score - median,
        "times": float(np.exp(scored.score - median)),
        "percentile": 100 * float(below),
    }
    return replace(scored, relative_to_author=relative)
