"""Read the tables for an audit, bucket by bucket: narrow columns of all posts, inputs of a sample, statistics."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from jobs.runtime.buckets import map_buckets
from viral.datasets import labelled_features
from viral.datasets.labelled_features import SPLITS, LabelledFeatures, Statistics
from viral.datasets.streams import Stream, from_table
from viral.duplicates.clusters import VIDEO_COLUMNS
from viral.evaluation.audit import AuditSample
from viral.evaluation.audit.evidence import ROWS
from viral.tables.bucketed import BucketedTable
from viral.tables.schemas import COUNTS, VECTOR

SAMPLE_BYTES = 64 << 20  # of inputs, held in the driver
SAMPLE_POSTS = (256, 4096)  # least (for a spectrogram) and most (for a few numbers)
SOUND_POSTS = 50_000  # posts whose sounds' uses are counted again
AUDITED_POSTS = 400_000  # about, held in the driver: some 300 bytes each

_GROUPS = ("author_id", "sha256", "sound_id")  # what two splits must not share
_AUTHOR_COLUMNS = ("post_id", "author_id", *COUNTS)
_SOUND_COLUMNS = ("post_id", "sound_id", "posted_at")
_POST_COLUMNS = tuple(dict.fromkeys((*_AUTHOR_COLUMNS, *_SOUND_COLUMNS)))


@dataclass(frozen=True)
class AuditData:
    """Fields of `Evidence`, and the statistics of the training split for each set of streams."""

    rows: pa.Table
    vector_hashes: pa.Table
    sample: AuditSample
    sounds: pa.Table | None
    statistics: list[Statistics]


@dataclass(frozen=True)
class _Plan:
    """What each task reads; authors and sounds are sampled with all their posts, up to `max_posts` per bucket."""

    data: LabelledFeatures
    posts: BucketedTable
    streams: tuple[Stream, ...]
    sets: Sequence[tuple[Stream, ...]]
    popularity: str | None
    log2_buckets: int
    row_fraction: float
    author_fraction: float
    sound_fraction: float
    max_posts: int


@dataclass(frozen=True)
class _BucketData:
    rows: pa.Table
    vector_hashes: pa.Table
    sampled: pa.Table
    authors: pa.Table
    sounds: pa.Table
    statistics: list[Statistics]


def read(
    data: LabelledFeatures,
    posts: BucketedTable,
    streams: tuple[Stream, ...],
    sets: Sequence[tuple[Stream, ...]],
    popularity: str | None,
) -> AuditData:
    """Read all buckets once, on the cluster.

    Of more than about `AUDITED_POSTS` posts, a sample is kept: all posts of some authors, of some files and of some
    sounds, so that what two splits share among them is found; near-duplicates are found among the posts of the sample.

    Args:
        data: with all streams of `sets`.
        posts: the posts table.
        streams: the model's inputs.
        sets: sets of streams to compute statistics of.
        popularity: name of the input that counts the uses of a post's sound.
    """
    plan = _plan(data, posts, streams, sets, popularity)
    buckets = list(map_buckets(partial(_read, plan), plan.log2_buckets))
    totals = map(labelled_features.sum_statistics, zip(*(bucket.statistics for bucket in buckets), strict=True))
    by_set = dict(zip(plan.sets, totals, strict=True))
    return AuditData(
        rows=pa.concat_tables([bucket.rows for bucket in buckets]).combine_chunks(),
        vector_hashes=pa.concat_tables([bucket.vector_hashes for bucket in buckets]).combine_chunks(),
        sample=_sample(streams, buckets),
        sounds=pa.concat_tables([bucket.sounds for bucket in buckets]) if popularity else None,
        statistics=[by_set[key] for key in sets],
    )


def _plan(
    data: LabelledFeatures,
    posts: BucketedTable,
    streams: tuple[Stream, ...],
    sets: Sequence[tuple[Stream, ...]],
    popularity: str | None,
) -> _Plan:
    log2_buckets, labelled = data.log2_buckets(), data.labels.stored_rows()
    # As many posts as fit into SAMPLE_BYTES of float32.
    sample_posts = int(np.clip(SAMPLE_BYTES // (4 * sum(stream.dim for stream in streams)), *SAMPLE_POSTS))
    return _Plan(
        data=LabelledFeatures(data.features, data.labels, data.streams, extra_columns=VIDEO_COLUMNS),
        posts=posts,
        streams=streams,
        sets=list(dict.fromkeys(sets)),  # most members of a stack have the same inputs
        popularity=popularity,
        log2_buckets=log2_buckets,
        row_fraction=1.0 if labelled <= AUDITED_POSTS else AUDITED_POSTS / (len(_GROUPS) * labelled),
        author_fraction=sample_posts / max(1, labelled),
        sound_fraction=SOUND_POSTS / max(1, labelled) if popularity else 0.0,
        max_posts=max(64, 4 * sample_posts >> log2_buckets),  # 4 times the mean: authors are of unequal size
    )


def _sample(streams: tuple[Stream, ...], buckets: Sequence[_BucketData]) -> AuditSample:
    sampled = pa.concat_tables([bucket.sampled for bucket in buckets])
    authors = pa.concat_tables([bucket.authors for bucket in buckets]).combine_chunks()
    return AuditSample(sampled.select(ROWS.names).combine_chunks(), from_table(streams, sampled), authors)


def _read(plan: _Plan, bucket: int) -> _BucketData:
    joined = plan.data.read(plan.log2_buckets, bucket, SPLITS)
    statistics = [_statistics(joined, streams) for streams in plan.sets]
    names = [stream.name for stream in plan.streams]
    joined = labelled_features.drop_empty_rows(joined, names)
    posts = plan.posts.read(plan.log2_buckets, bucket, _POST_COLUMNS)
    rows = _rows(joined, posts, plan.popularity)
    vectors = pa.table([joined[name] for name in names], names=names)
    mask = _sampled(_owners(rows), plan.author_fraction)
    # Inputs of a few whole authors: what an author's posts share can be found only among all of them.
    sampled = pa.table([*rows.columns, *vectors.columns], names=[*ROWS.names, *names]).filter(mask)
    # A row stays if its author, its file or its sound is drawn: members of such a group stay together.
    kept = np.logical_or.reduce([_sampled(rows[name], plan.row_fraction) for name in _GROUPS])
    hashes = pa.table({name: _hashed(vectors[name]) for name in names})
    everything = plan.row_fraction >= 1
    return _BucketData(
        rows=rows if everything else rows.filter(pa.array(kept)),
        vector_hashes=hashes if everything else hashes.filter(pa.array(kept)),
        sampled=sampled.slice(0, plan.max_posts),
        authors=posts.select(_AUTHOR_COLUMNS).filter(_sampled(_owners(posts), plan.author_fraction)),
        sounds=posts.select(_SOUND_COLUMNS).filter(_sampled(posts["sound_id"], plan.sound_fraction)),
        statistics=statistics,
    )


def _statistics(joined: pa.Table, streams: tuple[Stream, ...]) -> Statistics:
    rows = labelled_features.drop_empty_rows(joined, [stream.name for stream in streams])
    return labelled_features.compute_statistics(rows, streams)


def _rows(joined: pa.Table, posts: pa.Table, popularity: str | None) -> pa.Table:
    """Build a table with the schema `ROWS`."""
    # Null where the post is gone from the posts table since it was labelled; `take` then gives null values.
    index = pc.index_in(joined["post_id"], posts["post_id"].combine_chunks())
    names = ("post_id", "author_id", "posted_at", "split", "target", "is_viral", *VIDEO_COLUMNS)
    columns = {name: joined[name] for name in names}
    columns |= {name: posts[name].take(index) for name in ("sound_id", *COUNTS)}
    before = pa.nulls(joined.num_rows, pa.float64()) if popularity is None else _sound_posts(joined[popularity])
    return pa.table({**columns, "sound_posts_before": before}).select(ROWS.names).cast(ROWS)


def _sound_posts(vectors: pa.ChunkedArray) -> pa.Array:
    """Decode the number of earlier posts with the sound from `popularity` vectors; null if unknown."""
    logs, known = (pc.list_element(vectors, index).cast(pa.float64()) for index in (0, 1))
    # The extractor stores log(1 + posts) and a flag that is 1 where the number is known.
    counts = pa.array(np.expm1(pc.fill_null(logs, 0).to_numpy()))
    return pc.if_else(pc.fill_null(pc.greater(known, 0), False), counts, None)


def _hashed(vectors: pa.ChunkedArray) -> pa.Array:
    """Hash of each vector's bits; null where absent. One input gives the same bits each time."""
    lists = vectors.combine_chunks().cast(VECTOR)
    offsets, values = lists.offsets.to_numpy(), lists.values.to_numpy()
    return pa.array(
        [
            hashlib.blake2b(values[start:end], digest_size=8).hexdigest() if present else None
            for start, end, present in zip(offsets[:-1], offsets[1:], lists.is_valid().to_pylist(), strict=True)
        ],
        pa.string(),
    )


def _owners(posts: pa.Table) -> pa.ChunkedArray:
    """Author of each post; the post's own id if it has no author."""
    # Posts without an author would otherwise be one author with very many posts.
    named = pc.fill_null(pc.greater(pc.utf8_length(posts["author_id"]), 0), False)
    return pc.if_else(named, posts["author_id"], posts["post_id"])


def _sampled(owners: pa.ChunkedArray, fraction: float) -> npt.NDArray[np.bool_]:
    """Mask of the rows of a sample of the owners, drawn by the hash of their names; False for null."""
    named = np.asarray(owners.is_valid(), dtype=bool)
    if fraction >= 1:
        return named
    # By hash, so that tasks agree on the sample without talking; the prefix makes it independent of other samples.
    hashes = np.fromiter((zlib.crc32(f"audit {name}".encode()) for name in owners.to_pylist()), np.int64, len(owners))
    return named & (hashes < fraction * 2**32)
