"""Batches of a file: raw columns in, posts and rejects out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from operator import add
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

MAX_RAW_CHARACTERS = 4096
"""Length limit of the raw row in a reject: enough to see the fault, and small in a table of many rejects."""


@dataclass(frozen=True)
class Findings:
    """What a reader of the rows should know, counted.

    Args:
        values: column → values that were given.
        unreadable: column → values that were given and could not be read; they are null.
        examples: column → the first message about such a value.
        warnings: warning → rows that it concerns.
    """

    values: Counter[str] = field(default_factory=Counter)
    unreadable: Counter[str] = field(default_factory=Counter)
    examples: Mapping[str, str] = field(default_factory=dict)
    warnings: Counter[str] = field(default_factory=Counter)

    def __add__(self, other: Findings) -> Findings:
        values = Counter(self.values)
        values.update(other.values)  # unlike a sum, keeps zeros
        return Findings(
            values,
            self.unreadable + other.unreadable,
            # The first example of a column is kept.
            {**other.examples, **self.examples},
            self.warnings + other.warnings,
        )


@dataclass(frozen=True)
class ParsedBatch:
    """Tables `posts` (`schemas.POSTS`) and `rejects` (`schemas.REJECTS`), and the number of rows they came from.

    `source` is the name of the map that read them.
    """

    posts: pa.Table
    rejects: pa.Table
    rows: int
    source: str
    findings: Findings = field(default_factory=Findings)


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
    findings = reduce(add, (batch.findings for batch in batches))
    return ParsedBatch(posts, rejects, sum(batch.rows for batch in batches), batches[0].source, findings)


@dataclass(frozen=True)
class BrokenRow:
    """A rejected row: its number in the file, from 1, the reason, and its original text."""

    row: int
    reason: str
    raw: str


@dataclass(frozen=True)
class RawBatch:
    """Rows of a file, split into post columns but not yet parsed.

    Args:
        columns: column of `schemas.POSTS` → text (N,), or for times timestamps.
        rows: row numbers in the file, int64 (N,), from 1.
        raw: returns the i-th row as the file has it.
        labels: column → its name in the file, for messages.
        broken: rows without columns.
        lists: column of lists → Python objects, one per row.
        kinds: kind of each row, in the words of the file.
        errors: error that the scraper wrote in place of a post.
        faults: column → index → what could not be read.
        settings: column → reading settings of its own.
    """

    columns: Mapping[str, pa.Array]
    rows: npt.NDArray[np.int64]
    raw: Callable[[int], object]
    labels: Mapping[str, str] = field(default_factory=dict)
    broken: Sequence[BrokenRow] = ()
    lists: Mapping[str, list[Any]] = field(default_factory=dict)
    kinds: pa.Array | None = None
    errors: pa.Array | None = None
    faults: Mapping[str, Mapping[int, str]] = field(default_factory=dict)
    settings: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
