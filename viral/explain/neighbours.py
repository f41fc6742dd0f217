"""The training posts most like a post, and what became of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa

from viral.datasets.streams import Batch, Stream
from viral.errors import UsageError
from viral.scoring.reference import Reference
from viral.scoring.scorer import Scorer


@dataclass(frozen=True)
class Nearest:
    """The nearest training posts, nearest first; the list is empty where none is by others and earlier."""

    posts: tuple[Neighbour, ...]


@dataclass(frozen=True)
class Neighbour:
    """A training post: what it reached, in the units of the label, and its distance (1: as far as is usual)."""

    post_id: str
    author_id: str | None
    posted_at: datetime | None
    target: float
    is_viral: bool
    distance: float


def neighbours(
    scorer: Scorer, batch: Batch, *, author_id: str | None = None, before: datetime | None = None, count: int = 5
) -> Nearest:
    """The kept training posts nearest to one post, nearest first: by other authors, and earlier in time.

    Args:
        scorer: its model keeps up to `reference.ROWS` training posts.
        batch: the post, (1,).
        author_id: whose it is; None: nobody's of the training posts.
        before: when it was posted, in UTC where it says no zone; None: it is a draft, and all are earlier.
        count: how many.

    Raises:
        UsageError: the model keeps none, since it is not calibrated.
    """
    if scorer.reference is None:
        raise UsageError(f"{scorer.saved} is not calibrated: `viral evaluate --model {scorer.saved}` does it")
    return nearest(scorer.reference, scorer.streams, batch, author_id=author_id, before=before, count=count)


def nearest(
    reference: Reference,
    streams: Sequence[Stream],
    batch: Batch,
    *,
    author_id: str | None = None,
    before: datetime | None = None,
    count: int = 5,
) -> Nearest:
    """The same of the posts that were kept beside a model, whose inputs are `streams`."""
    if before is not None and before.tzinfo is None:
        before = before.replace(tzinfo=UTC)
    distances = reference.nearest(streams, batch)[0]
    distances[~_allowed(reference.rows, author_id, before)] = np.inf
    order = np.argsort(distances, kind="stable")[:count]
    there = [int(at) for at in order if np.isfinite(distances[at])]
    return Nearest(tuple(_neighbour(reference, at, float(distances[at])) for at in there))


def _allowed(
    rows: pa.Table, author_id: str | None, before: datetime | None
) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    authors, times = rows["author_id"].to_pylist(), rows["posted_at"].to_pylist()
    return np.array(
        [
            (author_id is None or author != author_id) and (before is None or (when is not None and when < before))
            for author, when in zip(authors, times, strict=True)
        ]
    )


def _neighbour(reference: Reference, at: int, distance: float) -> Neighbour:
    (row,) = reference.rows.slice(at, 1).to_pylist()
    return Neighbour(**row, distance=distance)
