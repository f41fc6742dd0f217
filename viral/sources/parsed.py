"""What goes into and comes out of an adapter: raw rows in columns, and the posts and rejects made of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa

RAW_LIMIT = 4096
"""The longest raw row that a reject keeps, in characters."""


@dataclass(frozen=True)
class Parsed:
    """One batch: `posts` (schema `tables.POSTS`) and `rejects` (schema `tables.REJECTS`) of `rows` rows read.

    Every row read is in exactly one of the two.
    """

    posts: pa.Table
    rejects: pa.Table
    rows: int


def merged(batches: Iterable[Parsed], most: int) -> Iterator[Parsed]:
    """Joins batches, as long as the rows of one do not exceed `most`."""
    waiting: list[Parsed] = []
    for batch in batches:
        if waiting and sum(one.rows for one in waiting) + batch.rows > most:
            yield _joined(waiting)
            waiting = []
        waiting.append(batch)
    if waiting:
        yield _joined(waiting)


def _joined(batches: Sequence[Parsed]) -> Parsed:
    posts = pa.concat_tables([batch.posts for batch in batches])
    return Parsed(posts, pa.concat_tables([batch.rejects for batch in batches]), sum(batch.rows for batch in batches))


@dataclass(frozen=True)
class Broken:
    """A row that could not be taken apart into columns at all. `row` counts from 1."""

    row: int
    reason: str
    raw: str


@dataclass(frozen=True)
class RawBatch:
    """Rows as the source has them, taken apart into the columns of a post but not yet read.

    `columns` maps a column of `tables.POSTS` to an array of text (N,), as it stands in the source; `hashtags` may be
    a list of texts and a time a timestamp instead. `rows` int64 (N,) are the row numbers in the file, from 1. `labels`
    says what the source calls a column, for messages. `raw(i)` is the i-th row as the source has it.
    """

    columns: Mapping[str, pa.Array]
    rows: npt.NDArray[np.int64]
    raw: Callable[[int], object]
    labels: Mapping[str, str] = field(default_factory=dict)
    broken: Sequence[Broken] = ()
