"""Views relative to the author's earlier posts: log1p(views) - log1p(median views of the earlier posts).

Earlier posts are the author's posts in this table, in any split, with a strictly earlier `posted_at`. A post without an
earlier one is dropped.
"""

from __future__ import annotations

from bisect import insort
from itertools import groupby

import numpy as np

from viral.labels.columns import Array, Columns
from viral.labels.definition import Definition, Parameters


def _target(columns: Columns, _: Parameters) -> Array:
    target: Array = np.log1p(columns["views"]) - np.log1p(_earlier_median(columns))
    return target


def _earlier_median(columns: Columns) -> Array:
    author, posted, views = columns["author_id"], columns["posted_at"], columns["views"]
    # A sum is NaN if one of its terms is.
    complete = np.flatnonzero(~np.isnan(author + posted + views))
    order = complete[np.lexsort((posted[complete], author[complete]))].tolist()
    median = np.full(len(views), np.nan)
    for _, posts in groupby(order, key=author.tolist().__getitem__):
        earlier_views: list[float] = []
        # Posts of the same moment are not earlier than each other.
        for _, group in groupby(posts, key=posted.__getitem__):
            simultaneous = list(group)
            if earlier_views:
                median[simultaneous] = _median_of_sorted(earlier_views)
            for post in simultaneous:
                insort(earlier_views, float(views[post]))
    return median


def _median_of_sorted(ascending: list[float]) -> float:
    half = len(ascending) // 2
    return ascending[half] if len(ascending) % 2 else (ascending[half - 1] + ascending[half]) / 2


OVER_AUTHOR = Definition(
    name="over_author", required=("views", "author_id", "posted_at"), target=_target, undefined_reason="no_earlier_post"
)
