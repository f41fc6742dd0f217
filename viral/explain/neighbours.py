"""The training posts most like a post, and what they reached."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from viral.datasets.streams import Batch, Stream
from viral.errors import UsageError
from viral.scoring.reference import Reference
from viral.scoring.scorer import Scorer


@dataclass(frozen=True)
class NearestPosts:
    """The nearest training posts, nearest first; empty if none is earlier and by another author."""

    posts: tuple[Neighbour, ...]


@dataclass(frozen=True)
class Neighbour:
    """A training post: its target in the units of the label, and its distance (1: typical of unseen posts)."""

    post_id: str
    author_id: str | None
    posted_at: datetime | None
    target: float
    is_viral: bool
    distance: float


def neighbours(
    scorer: Scorer, batch: Batch, *, author_id: str | None = None, before: datetime | None = None, count: int = 5
) -> NearestPosts:
    """Return the reference posts nearest to one post, by other authors and earlier in time.

    Args:
        scorer: a calibrated model, with up to `reference.ROWS` reference posts.
        batch: the post, (1,).
        author_id: its author; None: not an author of the training posts.
        before: when it was posted, UTC if it has no time zone; None: a draft, later than all training posts.
        count: number of neighbours.

    Raises:
        UsageError: the model is not calibrated.
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
) -> NearestPosts:
    """Do as `neighbours`, given the reference posts of a model with the inputs `streams`."""
    if before is not None and before.tzinfo is None:
        before = before.replace(tzinfo=UTC)
    distances = reference.distances(streams, batch)[0]
    distances[~_allowed(reference.rows, author_id, before)] = np.inf
    # Stable, so that equal distances give the same posts on every machine.
    order = np.argsort(distances, kind="stable")[:count]
    rows = [int(row) for row in order if np.isfinite(distances[row])]
    return NearestPosts(tuple(_neighbour(reference, row, float(distances[row])) for row in rows))


def _allowed(rows: pa.Table, author_id: str | None, before: datetime | None) -> npt.NDArray[np.bool_]:
    authors, times = rows["author_id"].to_pylist(), rows["posted_at"].to_pylist()
    return np.array(
        [
            (author_id is None or author != author_id)
            and (before is None or (posted_at is not None and posted_at < before))
            for author, posted_at in zip(authors, times, strict=True)
        ]
    )


def _neighbour(reference: Reference, row: int, distance: float) -> Neighbour:
    (columns,) = reference.rows.slice(row, 1).to_pylist()
    return Neighbour(**columns, distance=distance)
