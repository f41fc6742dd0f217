"""Splits of posts into training, validation and test parts.

Time splits cut at a point in time, with a gap as long as the label's horizon. Author, sound and random splits use a
keyed hash, never the order of rows.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from viral.errors import ConfigError, TableError

Kind = Literal["time_author", "time", "author", "sound", "random"]
PARTS = ("train", "validation", "test", "unused")

_DAY = 86_400_000_000  # microseconds
_RANKED_BELOW = 1000  # hashes: with fewer, cuts by hash value may give an empty part or very different shares
_MIN_USED = 0.1  # share of the posts: a split that leaves out more than nine in ten describes too few of them

_Bools = npt.NDArray[np.bool_]
_Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class SplitSpec:
    """How to split posts.

    Attributes:
        kind: posts to test on. `time_author` (for the headline results): new posts by new authors. `time`: new posts.
            `author`: posts by other authors, of any time. `sound`: posts with other sounds, for models with audio
            inputs, since all other kinds have the same sounds in several parts. `random`: any posts, which is too
            optimistic and serves for comparison.
        test: share of the used posts (`author`, `sound`: of the authors, sounds) to test on.
        validation: share to select and calibrate models on.
        gap_days: days left out before each cut of the time kinds, usually the horizon of the label.
        seed: key of the hash for `author`, `sound` and `random`.
    """

    kind: Kind = "time_author"
    test: float = 0.2
    validation: float = 0.15
    gap_days: float = 0
    seed: int = 0

    def __post_init__(self) -> None:
        if self.kind not in get_args(Kind):
            raise ConfigError(f"split kind {self.kind!r} does not exist: choose one of {', '.join(get_args(Kind))}")
        if not (self.test > 0 and self.validation > 0 and self.test + self.validation < 1):
            shares = f"test={self.test} and validation={self.validation}"
            raise ConfigError(f"split shares {shares} are invalid: both must be above 0 and their sum below 1")
        if not 0 <= self.gap_days < float("inf"):
            raise ConfigError(f"gap_days={self.gap_days} is invalid: give 0 or more days")


@dataclass(frozen=True)
class PartCount:
    """Posts and authors in one part of a split; a post without an author counts as its own author."""

    part: str
    posts: int
    authors: int


def assign(posts: pa.Table, spec: SplitSpec) -> npt.NDArray[np.str_]:
    """Assign each post to `train`, `validation`, `test` or `unused`, independently of the order of rows.

    The time kinds cut at the latest time that leaves the share `test` of the posts (without the gap) after it, then cut
    the earlier posts again for `validation`. Posts within `gap_days` before a cut are `unused`, and for `time_author`
    also posts after a cut by authors with posts before it. Posts with equal times get the same part.

    `author`, `sound` and `random` use a hash of `author_id`, `sound_id` or `post_id` keyed with `seed`. With 1,000 or
    more authors (sounds, posts), new ones do not change the parts of the old ones. Fewer are ranked by hash and cut at
    the shares, so new ones may move those next to a cut.

    Args:
        posts: columns `post_id`, `author_id` (null or empty: the post is its own author), `posted_at` (timestamp), and
            for `sound` `sound_id` (null or empty: the post is its own sound).
        spec: kind and shares.

    Returns:
        An array (rows,) of strings.

    Raises:
        ConfigError: a time kind with posts that have no time.
        TableError: a column is missing or, for `sound`, empty, or there are too few posts for three non-empty parts.
    """
    _require_columns(posts, spec)
    if spec.kind == "random":
        return _by_hash(_hashes("post", posts["post_id"].to_pylist(), spec.seed), spec, "posts")
    if spec.kind in ("author", "sound"):
        codes = value_codes(posts, f"{spec.kind}_id")
        return _by_hash(_owner_hashes(posts, codes, spec), spec, f"{spec.kind}s")[codes]
    return _by_time(posts, spec)


def counts(parts: npt.NDArray[np.str_], authors: _Ints) -> list[PartCount]:
    """Count the posts and authors of each part, in the order of `PARTS`. `authors` come from `author_codes`."""
    masks = [(part, parts == part) for part in PARTS]
    return [PartCount(part, int(mask.sum()), len(np.unique(authors[mask]))) for part, mask in masks]


def author_codes(posts: pa.Table) -> _Ints:
    """Return the integer code of each row's author; a post without author gets its own code."""
    return value_codes(posts, "author_id")


def value_codes(posts: pa.Table, name: str) -> _Ints:
    """Return the integer code of each value of a string column; a row without a value gets its own code."""
    column = _chunk(posts[name]).cast(pa.string())
    present = pc.and_(pc.is_valid(column), pc.not_equal(pc.fill_null(column, ""), ""))
    encoded = pc.if_else(present, column, None).dictionary_encode()
    codes = np.asarray(pc.fill_null(encoded.indices, -1).cast(pa.int64()))
    absent = codes < 0
    return np.where(absent, len(encoded.dictionary) + np.cumsum(absent) - 1, codes)


def _chunk(column: pa.ChunkedArray) -> pa.Array:
    combined = column.combine_chunks()
    return pa.concat_arrays(combined.chunks) if isinstance(combined, pa.ChunkedArray) else combined


def _require_columns(posts: pa.Table, spec: SplitSpec) -> None:
    needed = ["post_id", "author_id", "posted_at", *(["sound_id"] if spec.kind == "sound" else [])]
    missing = [name for name in needed if name not in posts.column_names]
    if missing:
        raise TableError(f"the posts have no column {', '.join(missing)}: a split needs {', '.join(needed)}")
    if spec.kind == "sound" and posts["sound_id"].null_count == posts.num_rows:
        raise TableError("no post has a sound_id: use another kind of split, or ingest posts with sound_id")
    if spec.kind in ("time", "time_author") and (timeless := posts["posted_at"].null_count):
        raise ConfigError(
            f"{timeless} of {posts.num_rows} posts have no posting time, required by split kind {spec.kind!r}: "
            "leave them out, or use kind 'author'"
        )


# --- by hash ---------------------------------------------------------------------------------------------------------


def _hashes(kind: str, values: Iterable[str], seed: int) -> npt.NDArray[np.uint64]:
    """64-bit BLAKE2b hash of each value. With the kind in the key, hashes of posts and authors are independent."""
    key = f"{kind}:{seed}".encode()
    digests = (hashlib.blake2b(str(v).encode(), digest_size=8, key=key).digest() for v in values)
    # Big-endian on every machine, so that a split is the same everywhere.
    return np.frombuffer(b"".join(digests), dtype=">u8").astype(np.uint64)


def _owner_hashes(posts: pa.Table, codes: _Ints, spec: SplitSpec) -> npt.NDArray[np.uint64]:
    """Hash of each author or sound, in the order of the codes."""
    _, first = np.unique(codes, return_index=True)
    owners = posts.select([f"{spec.kind}_id", "post_id"]).take(first)
    names, ids = (column.cast(pa.string()).to_pylist() for column in owners.columns)
    # A post without an owner is its own; the letters keep names and identifiers of posts apart.
    keys = (f"a{name}" if name else f"p{post}" for name, post in zip(names, ids, strict=True))
    return _hashes(spec.kind, keys, spec.seed)


def _by_hash(hashes: npt.NDArray[np.uint64], spec: SplitSpec, noun: str) -> npt.NDArray[np.str_]:
    count = len(hashes)
    if count < 3:
        raise TableError(f"{count} {noun} cannot be split into three parts: add posts, or use another kind of split")
    # Many owners: the hash itself is the position, whatever other owners there are.
    if count >= _RANKED_BELOW:
        position = hashes / 2.0**64
        test_end, validation_end = spec.test, spec.test + spec.validation
    else:
        position = np.empty(count)
        position[np.argsort(hashes, kind="stable")] = np.arange(count)
        test_end, validation_end = _rank_cuts(count, spec)
    return np.select([position < test_end, position < validation_end], ["test", "validation"], "train")


def _rank_cuts(count: int, spec: SplitSpec) -> tuple[int, int]:
    """Ranks at which the test and the validation part end; no part is empty."""
    test = min(max(1, round(spec.test * count)), count - 2)
    validation = min(max(1, round(spec.validation * count)), count - test - 1)
    return test, test + validation


# --- by time ---------------------------------------------------------------------------------------------------------


def _by_time(posts: pa.Table, spec: SplitSpec) -> npt.NDArray[np.str_]:
    posted = np.asarray(_chunk(posts["posted_at"]).cast(pa.timestamp("us", tz="UTC")).cast(pa.int64()))
    # A post may be after a cut only if this time is: its own or, for `time_author`, its author's first posting time.
    earliest = posted
    if spec.kind == "time_author":
        authors = author_codes(posts)
        first = np.full(authors.max(initial=-1) + 1, np.iinfo(np.int64).max)
        np.minimum.at(first, authors, posted)
        earliest = first[authors]
    test, before = _cut(posted, earliest, np.ones(len(posted), dtype=bool), spec.test, spec)
    # The share of the validation part refers to all posts, and the earlier ones are a fraction 1 - test of them.
    validation, train = _cut(posted, earliest, before, spec.validation / (1 - spec.test), spec)
    parts = np.select([test, validation, train], ["test", "validation", "train"], "unused")
    if spec.kind == "time_author" and (test | validation | train).mean() < _MIN_USED:
        raise TableError(
            f"split kind 'time_author' can use only {(parts != 'unused').sum()} of {len(parts)} posts, since few "
            "authors are new: use kind 'time' or 'author', or a smaller gap_days"
        )
    return parts


def _cut(posted: _Ints, earliest: _Ints, rows: _Bools, share: float, spec: SplitSpec) -> tuple[_Bools, _Bools]:
    """Masks of the rows after the cut and before its gap, for the latest cut with `share` of the used rows after it."""
    times = np.sort(posted[rows])
    candidates = np.unique(times)
    after = len(times) - np.searchsorted(np.sort(earliest[rows]), candidates)
    gap = round(spec.gap_days * _DAY)
    before = np.searchsorted(times, candidates - gap)
    # Both sides must have posts; the latest of these cuts is nearest to the share.
    enough = np.flatnonzero((before > 0) & (after > 0) & (after >= share * (after + before)))
    if not len(enough):
        days = (times[-1] - times[0]) / _DAY if len(times) else 0.0
        raise TableError(
            f"{len(times)} posts over {days:.1f} days cannot be cut by kind {spec.kind!r} with gap_days="
            f"{spec.gap_days:g} into non-empty parts: use a smaller gap_days, more posts, or kind 'author'"
        )
    cut = candidates[enough[-1]]
    return rows & (earliest >= cut), rows & (posted < cut - gap)
