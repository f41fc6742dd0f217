"""Selection of the posts that a backfill processes: those without a row and, on request, those that failed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from viral.errors import ConfigError, CrashedError, OutOfMemoryError, TimedOutError, reasons
from viral.tables.bucketed import BucketedTable
from viral.tables.latest import latest_per_key

PROCESS_KILLING_REASONS = frozenset({CrashedError.reason, OutOfMemoryError.reason, TimedOutError.reason})
# A post is quarantined after this many attempts that killed the decoding process. One can be chance, for example on a
# busy machine; after two the file is to blame, and each further attempt would cost a process and up to the time limit.
QUARANTINE_AFTER = 2


@dataclass(frozen=True)
class Retry:
    """Which failed posts to process again.

    Attributes:
        before: start of the run; posts whose newest attempt finished later are left out.
        reasons: reasons of the failed and partial posts to include; empty: all failed posts.
        quarantined: include posts in quarantine.

    Raises:
        ConfigError: a reason does not exist.
    """

    before: datetime
    reasons: tuple[str, ...] = ()
    quarantined: bool = False

    def __post_init__(self) -> None:
        valid = reasons()
        if unknown := [reason for reason in self.reasons if reason not in valid]:
            raise ConfigError(f"there is no reason {unknown[0]!r}: choose from {', '.join(valid)}")


def pending(posts: pa.Table, features: BucketedTable, log2_buckets: int, bucket: int, retry: Retry | None) -> pa.Table:
    """Select the posts of a bucket to process, and add the number of the attempt as column `attempt`.

    Args:
        posts: rows of the posts table in that bucket, with `post_id`.
        features: the feature table.
        log2_buckets: binary logarithm of the number of buckets.
        bucket: number of the bucket.
        retry: failed posts to include; None: none.
    """
    newest, retried = _newest_attempts(features, log2_buckets, bucket, retry)
    index = pc.index_in(posts["post_id"], newest["post_id"].combine_chunks())
    selected = pc.or_(pc.is_null(index), pc.fill_null(retried.take(index), False))
    # Attempts count from 0: a post without a row has none, and gets that number.
    attempt = pc.fill_null(pc.add(newest["attempt"].take(index), 1), 0).cast(pa.int32())
    return posts.append_column("attempt", attempt).filter(selected)


def quarantined(versions: pa.Table) -> pa.Array:
    """Return the ids of the posts in quarantine, given all attempts at some posts."""
    killed = versions.filter(pc.is_in(versions["reason"], pa.array(sorted(PROCESS_KILLING_REASONS))))
    counts = killed["post_id"].combine_chunks().value_counts()
    return counts.field("values").filter(pc.greater_equal(counts.field("counts"), QUARANTINE_AFTER))


def _newest_attempts(
    features: BucketedTable, log2_buckets: int, bucket: int, retry: Retry | None
) -> tuple[pa.Table, pa.ChunkedArray]:
    """Return the newest attempt at each post of a bucket, and a mask of the posts to retry."""
    # Most backfills: the newest row of each post suffices, without its history.
    if retry is None:
        newest = features.read(log2_buckets, bucket, ["post_id", "attempt"])
        return newest, pa.chunked_array([pa.array(np.zeros(newest.num_rows, bool))])
    versions = features.versions(log2_buckets, bucket, ["post_id", "attempt", "status", "reason", "finished_at"])
    newest = latest_per_key(versions, "post_id", "attempt")
    # So that a later round of the same run does not try again what failed in an earlier one.
    retried = pc.less(newest["finished_at"], pa.scalar(retry.before))
    if retry.reasons:
        retried = pc.and_(retried, pc.is_in(newest["reason"], pa.array(retry.reasons)))
    else:
        retried = pc.and_(retried, pc.equal(newest["status"], "failed"))
    if not retry.quarantined:
        retried = pc.and_(retried, pc.invert(pc.is_in(newest["post_id"], quarantined(versions))))
    return newest, retried
