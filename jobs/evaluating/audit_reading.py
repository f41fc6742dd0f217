"""What an audit reads of a root, bucket by bucket: narrow columns of all posts, inputs of a sample, statistics."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from jobs.runtime.buckets import over_buckets
from viral.datasets.labelled_features import USED, LabelledFeatures, Statistics, having, measured, total
from viral.datasets.streams import Stream, from_table
from viral.evaluation.audit import Sample
from viral.evaluation.audit.evidence import ROWS
from viral.tables.bucketed import Parts
from viral.tables.schemas import COUNTS

SAMPLED_BYTES = 64 << 20  # of inputs, on this machine
SAMPLED_POSTS = (256, 4096)  # of a spectrogram, of a few numbers
SOUND_POSTS = 50_000  # whose sounds' posts are counted again

_OF_AUTHORS = ("post_id", "author_id", *COUNTS)
_OF_SOUNDS = ("post_id", "sound_id", "posted_at")
_OF_POSTS = tuple(dict.fromkeys((*_OF_AUTHORS, *_OF_SOUNDS)))


@dataclass(frozen=True)
class Read:
    """What was read: as `Evidence` has it, and the statistics of the training split by set of streams."""

    rows: pa.Table
    sample: Sample
    sounds: pa.Table | None
    statistics: list[Statistics]


@dataclass(frozen=True)
class _Reading:
    """What each task is told. `authors` and `sounds` are the shares of them whose posts are looked at as a whole."""

    data: LabelledFeatures
    posts: Parts
    streams: tuple[Stream, ...]
    sets: Sequence[tuple[Stream, ...]]
    popularity: str | None
    bits: int
    authors: float
    sounds: float
    most: int


@dataclass(frozen=True)
class _Piece:
    rows: pa.Table
    sampled: pa.Table
    authors: pa.Table
    sounds: pa.Table
    statistics: list[Statistics]


def read(
    data: LabelledFeatures,
    posts: Parts,
    streams: tuple[Stream, ...],
    sets: Sequence[tuple[Stream, ...]],
    popularity: str | None,
) -> Read:
    """Read all buckets once, on the cluster.

    Args:
        data: with all streams of `sets`.
        posts: the posts table.
        streams: the model's inputs.
        sets: streams to take statistics of, together.
        popularity: the one of the inputs that counts the uses of a post's sound.
    """
    bits, labelled = data.bits(), sum(part.rows for part in data.labels.parts())
    wanted = int(np.clip(SAMPLED_BYTES // (4 * sum(stream.dim for stream in streams)), *SAMPLED_POSTS))
    reading = _Reading(
        data=LabelledFeatures(data.features, data.labels, data.streams, beside=("sha256",)),
        posts=posts,
        streams=streams,
        sets=list(dict.fromkeys(sets)),  # most members of a stack look at the same
        popularity=popularity,
        bits=bits,
        authors=wanted / max(1, labelled),
        sounds=SOUND_POSTS / max(1, labelled) if popularity else 0.0,
        most=max(64, 4 * wanted >> bits),
    )
    pieces = [row["it"] for row in over_buckets(partial(_read, reading), bits)]
    by_set = {each: total(piece.statistics[at] for piece in pieces) for at, each in enumerate(reading.sets)}
    return Read(
        rows=pa.concat_tables([piece.rows for piece in pieces]).combine_chunks(),
        sample=_sample(streams, pieces),
        sounds=pa.concat_tables([piece.sounds for piece in pieces]) if popularity else None,
        statistics=[by_set[each] for each in sets],
    )


def _sample(streams: tuple[Stream, ...], pieces: Sequence[_Piece]) -> Sample:
    sampled = pa.concat_tables([piece.sampled for piece in pieces])
    authors = pa.concat_tables([piece.authors for piece in pieces]).combine_chunks()
    return Sample(sampled.select(ROWS.names).combine_chunks(), from_table(streams, sampled), authors)


def _read(reading: _Reading, bucket: int) -> dict[str, Any]:
    joined = reading.data.read(reading.bits, bucket, USED)
    statistics = [measured(having(joined, [each.name for each in streams]), streams) for streams in reading.sets]
    names = [stream.name for stream in reading.streams]
    joined = having(joined, names)
    posts = reading.posts.read(reading.bits, bucket, _OF_POSTS)
    rows = _rows(joined, posts, reading.popularity)
    vectors = pa.table([joined[name] for name in names], names=names)
    chosen = _chosen(_owners(rows), reading.authors)
    sampled = pa.table([*rows.columns, *vectors.columns], names=[*ROWS.names, *names]).filter(chosen)
    return {
        "it": _Piece(
            rows=rows,
            sampled=sampled.slice(0, reading.most),
            authors=posts.select(_OF_AUTHORS).filter(_chosen(_owners(posts), reading.authors)),
            sounds=posts.select(_OF_SOUNDS).filter(_chosen(posts["sound_id"], reading.sounds)),
            statistics=statistics,
        )
    }


def _rows(joined: pa.Table, posts: pa.Table, popularity: str | None) -> pa.Table:
    """As `ROWS`."""
    place = pc.index_in(joined["post_id"], posts["post_id"].combine_chunks())
    columns = {name: joined[name] for name in ("post_id", "author_id", "posted_at", "split", "target", "sha256")}
    columns |= {name: posts[name].take(place) for name in ("sound_id", *COUNTS)}
    before = pa.nulls(joined.num_rows, pa.float64()) if popularity is None else _before(joined[popularity])
    return pa.table({**columns, "sound_posts_before": before}).select(ROWS.names).cast(ROWS)


def _before(vectors: pa.ChunkedArray) -> pa.Array:
    """How many posts with its sound a post's `popularity` vector tells of, null where it does not."""
    logs, known = (pc.list_element(vectors, at).cast(pa.float64()) for at in (0, 1))
    counts = pa.array(np.expm1(pc.fill_null(logs, 0).to_numpy()))
    return pc.if_else(pc.fill_null(pc.greater(known, 0), False), counts, None)


def _owners(posts: pa.Table) -> pa.ChunkedArray:
    """The author of each post; of one without, the post itself."""
    named = pc.fill_null(pc.greater(pc.utf8_length(posts["author_id"]), 0), False)
    return pc.if_else(named, posts["author_id"], posts["post_id"])


def _chosen(owners: pa.ChunkedArray, share: float) -> npt.NDArray[np.bool_]:
    """Which rows belong to those that their own names choose, whatever is beside them; none without a name."""
    named = np.asarray(owners.is_valid(), dtype=bool)
    if share >= 1:
        return named
    hashes = np.fromiter((zlib.crc32(f"audit {each}".encode()) for each in owners.to_pylist()), np.int64, len(owners))
    return named & (hashes < share * 2**32)
