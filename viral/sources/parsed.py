"""Batches of an adapter: raw columns in, posts and rejects out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa

MAX_RAW_CHARACTERS = 4096
"""Length limit of the raw row in a reject: enough to see the fault, and small in a table of many rejects."""


@dataclass(frozen=True)
class ParsedBatch:
    """Tables `posts` (`schemas.POSTS`) and `rejects` (`schemas.REJECTS`), and the number of rows they came from."""

    posts: pa.Table
    rejects: pa.Table
    rows: int


def merge_batches(batches: Iterable[ParsedBatch], max_rows: int) -> Iterator[ParsedBatch]:
    """Concatenate consecutive batches up to `max_rows` rows."""
    pending: list[ParsedBatch] = []
    for batch in batches:
        if pending and sum(p.rows for p in pending) + batch.rows > max_rows:
            yield _concat(pending)
            pending = []
        pending.append(batch)
    if pending:
        yield _concat(pending)


def _concat(batches: Sequence[ParsedBatch]) -> ParsedBatch:
    posts, rejects = (pa.concat_tables(tables) for tables in zip(*((b.posts, b.rejects) for b in batches), strict=True))
    return ParsedBatch(posts, rejects, sum(batch.rows for batch in batches))


@dataclass(frozen=True)
class BrokenRow:
    """A rejected row: its number in the file, from 1, the reason, and its original text."""

    row: int
    reason: str
    raw: str


@dataclass(frozen=True)
class RawBatch:
    """Rows of a source, split into post columns but not yet parsed.

    `columns` maps a column of `schemas.POSTS` to an array (N,) of text; `hashtags` may be lists of text, and times may
    be timestamps. `rows` int64 (N,) are the row numbers in the file, from 1. `labels` maps a column to its name in the
    source, for messages. `raw(i)` returns the i-th row as the source wrote it. `broken` are rows without columns.
    """

    columns: Mapping[str, pa.Array]
    rows: npt.NDArray[np.int64]
    raw: Callable[[int], object]
    labels: Mapping[str, str] = field(default_factory=dict)
    broken: Sequence[BrokenRow] = ()
