"""Which posts a backfill still has to process: those without a row, and on request those that failed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from viral.errors import ConfigError, CrashedError, OutOfMemoryError, TimedOutError, reasons
from viral.tables.bucketed import Parts
from viral.tables.latest import newest_of

KILLERS = frozenset({CrashedError.reason, OutOfMemoryError.reason, TimedOutError.reason})
QUARANTINE_AFTER = 2
"""A post that ended its decoding process so often is not tried again unless it is asked for."""


@dataclass(frozen=True)
class Retry:
    """Which failed posts are to be tried again.

    Attributes:
        before: only those whose newest attempt ended before this: the beginning of the run.
        reasons: only those that failed, or are partial, for one of these; none given: all that failed.
        quarantined: also those in quarantine.

    Raises:
        ConfigError: a reason that no failed post can have.
    """

    before: datetime
    reasons: tuple[str, ...] = ()
    quarantined: bool = False

    def __post_init__(self) -> None:
        known = reasons()
        if unknown := [reason for reason in self.reasons if reason not in known]:
            raise ConfigError(f"no post fails for the reason {unknown[0]!r}: choose from {', '.join(known)}")


def pending(posts: pa.Table, features: Parts, bits: int, bucket: int, retry: Retry | None) -> pa.Table:
    """The posts of a bucket that are still to be processed, with the number of the attempt in a column `attempt`.

    Args:
        posts: rows of that bucket of the posts table, with `post_id`.
        features: the feature table.
        bits: that there are 2^bits buckets.
        bucket: which of them.
        retry: what of the failed is to be tried again; None: nothing.
    """
    newest, again = _attempts(features, bits, bucket, retry)
    place = pc.index_in(posts["post_id"], newest["post_id"].combine_chunks())
    attempts = newest["attempt"].take(place)
    tried = pc.is_valid(place)
    wanted = pc.or_(pc.invert(tried), pc.fill_null(again.take(place), False))
    number = pc.fill_null(pc.add(attempts, 1), 0).cast(pa.int32())
    return posts.append_column("attempt", number).filter(wanted)


def quarantined(versions: pa.Table) -> pa.Array:
    """The posts in quarantine, by id, among all attempts of some posts."""
    killed = versions.filter(pc.is_in(versions["reason"], pa.array(sorted(KILLERS))))
    counts = killed["post_id"].combine_chunks().value_counts()
    often = pc.greater_equal(counts.field("counts"), QUARANTINE_AFTER)
    return counts.field("values").filter(often)


def _attempts(features: Parts, bits: int, bucket: int, retry: Retry | None) -> tuple[pa.Table, pa.ChunkedArray]:
    """The newest attempt at each post of a bucket, and whether it is to be tried again."""
    if retry is None:
        newest = features.read(bits, bucket, ["post_id", "attempt"])
        return newest, pa.chunked_array([pa.array(np.zeros(newest.num_rows, bool))])
    versions = features.versions(bits, bucket, ["post_id", "attempt", "status", "reason", "finished_at"])
    newest = newest_of(versions, "post_id", "attempt")
    again = pc.less(newest["finished_at"], pa.scalar(retry.before))
    if retry.reasons:
        again = pc.and_(again, pc.is_in(newest["reason"], pa.array(retry.reasons)))
    else:
        again = pc.and_(again, pc.equal(newest["status"], "failed"))
    if not retry.quarantined:
        again = pc.and_(again, pc.invert(pc.is_in(newest["post_id"], quarantined(versions))))
    return newest, again
