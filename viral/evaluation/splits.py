"""Which posts a model may learn from, and which it is judged on.

Time splits cut at a moment: everything on the later side is newer than everything on the earlier side, with a gap
between them as long as the label takes to form. Author, sound and random splits go by a keyed hash, never by row order.
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
_RANKED_BELOW = 1000
_LEAST_USED = 0.1

_Bools = npt.NDArray[np.bool_]
_Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class SplitSpec:
    """How posts are divided.

    Attributes:
        kind: `time_author` (the headline) tests on new posts by new authors, `time` on new posts, `author` on other
            authors' posts of any time, `sound` on posts with other sounds, for models that hear them: authors share
            sounds, so no other kind keeps a sound from both sides. `random` tests on any posts: it only shows how much
            that flatters.
        test: share of the used posts (`author`, `sound`: of the authors, sounds) to test on.
        validation: share to choose and calibrate models on.
        gap_days: for the time kinds, days left out before each cut: the horizon of the label.
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
            raise ConfigError(
                f"split shares test={self.test} and validation={self.validation} leave no room: "
                "both must be above 0 and their sum below 1"
            )
        if not 0 <= self.gap_days < float("inf"):
            raise ConfigError(f"gap_days={self.gap_days} is not a length of time: give 0 or more days")


@dataclass(frozen=True)
class PartCount:
    """How much of a corpus one part of a split holds; a post without an author counts as its own."""

    part: str
    posts: int
    authors: int


def assign(posts: pa.Table, spec: SplitSpec) -> npt.NDArray[np.str_]:
    """Gives each post its part: `train`, `validation`, `test` or `unused`. Does not depend on the order of rows.

    The time kinds cut as late as leaves `test` of the posts outside the gap after the cut, then cut what lies before it
    once more for `validation`. Posts within `gap_days` before a cut are `unused`; so are, for `time_author`, posts
    after a cut by authors seen before it. Posts of the same instant stay together.

    `author`, `sound` and `random` go by a hash of `author_id`, `sound_id` or `post_id` keyed with `seed`. From 1,000
    authors (sounds, posts) up each has its part for ever, whatever is added; below, where that could leave a part empty
    or lopsided, they are ranked by their hash and cut at the shares, so that an addition may move those next to a cut.

    Args:
        posts: columns `post_id`, `author_id` (null or empty: the post is its own author), `posted_at` (timestamp), and
            for `sound` `sound_id` (null or empty: the post is its own sound).
        spec: how to divide.

    Returns:
        An array (rows,) of strings.

    Raises:
        ConfigError: a time kind, and posts without time.
        TableError: a column is missing or, for `sound`, empty, or the posts are too few for three non-empty parts.
    """
    _require_columns(posts, spec)
    if spec.kind == "random":
        return _by_hash(_hashes("post", posts["post_id"].to_pylist(), spec.seed), spec, "posts")
    if spec.kind in ("author", "sound"):
        codes = value_codes(posts, f"{spec.kind}_id")
        return _by_hash(_owner_hashes(posts, codes, spec), spec, f"{spec.kind}s")[codes]
    return _by_time(posts, spec)


def counts(parts: npt.NDArray[np.str_], authors: _Ints) -> list[PartCount]:
    """Posts and authors of each part, in the order of `PARTS`. `authors` are the codes of `author_codes`."""
    inside = [(part, parts == part) for part in PARTS]
    return [PartCount(part, int(rows.sum()), len(np.unique(authors[rows]))) for part, rows in inside]


def author_codes(posts: pa.Table) -> _Ints:
    """A whole number for each author, the same for all of an author's rows; a post without author gets its own."""
    return value_codes(posts, "author_id")


def value_codes(posts: pa.Table, name: str) -> _Ints:
    """The same for another column of strings: a whole number for each value, and one of its own for a post without."""
    column = _chunk(posts[name]).cast(pa.string())
    known = pc.and_(pc.is_valid(column), pc.not_equal(pc.fill_null(column, ""), ""))
    encoded = pc.if_else(known, column, None).dictionary_encode()
    codes = np.asarray(pc.fill_null(encoded.indices, -1).cast(pa.int64()))
    nameless = codes < 0
    return np.where(nameless, len(encoded.dictionary) + np.cumsum(nameless) - 1, codes)


def _chunk(column: pa.ChunkedArray) -> pa.Array:
    combined = column.combine_chunks()
    return pa.concat_arrays(combined.chunks) if isinstance(combined, pa.ChunkedArray) else combined


def _require_columns(posts: pa.Table, spec: SplitSpec) -> None:
    needed = ["post_id", "author_id", "posted_at", *(["sound_id"] if spec.kind == "sound" else [])]
    missing = [name for name in needed if name not in posts.column_names]
    if missing:
        raise TableError(f"the posts have no column {', '.join(missing)}: a split needs {', '.join(needed)}")
    if spec.kind == "sound" and posts["sound_id"].null_count == posts.num_rows:
        raise TableError("no post names its sound: use another kind of split, or ingest posts with sound_id")
    if spec.kind in ("time", "time_author") and (timeless := posts["posted_at"].null_count):
        raise ConfigError(
            f"{timeless} of {posts.num_rows} posts have no posting time, which split kind {spec.kind!r} needs: "
            "leave them out, or use kind 'author'"
        )


# --- by hash ---------------------------------------------------------------------------------------------------------


def _hashes(kind: str, values: Iterable[str], seed: int) -> npt.NDArray[np.uint64]:
    """Eight bytes of BLAKE2b for each value. The kind goes into the key: a post's hash says nothing of an author's."""
    key = f"{kind}:{seed}".encode()
    digests = (hashlib.blake2b(str(v).encode(), digest_size=8, key=key).digest() for v in values)
    return np.frombuffer(b"".join(digests), dtype=">u8").astype(np.uint64)


def _owner_hashes(posts: pa.Table, codes: _Ints, spec: SplitSpec) -> npt.NDArray[np.uint64]:
    """One hash for each code of authors or sounds, in the order of the codes."""
    _, first = np.unique(codes, return_index=True)
    owners = posts.select([f"{spec.kind}_id", "post_id"]).take(first)
    names, ids = (column.cast(pa.string()).to_pylist() for column in owners.columns)
    keys = (f"a{name}" if name else f"p{post}" for name, post in zip(names, ids, strict=True))
    return _hashes(spec.kind, keys, spec.seed)


def _by_hash(hashes: npt.NDArray[np.uint64], spec: SplitSpec, noun: str) -> npt.NDArray[np.str_]:
    count = len(hashes)
    if count < 3:
        raise TableError(f"{count} {noun} cannot be split in three: add posts, or use another kind of split")
    if count >= _RANKED_BELOW:
        place = hashes / 2.0**64
        test, held = spec.test, spec.test + spec.validation
    else:
        place = np.empty(count)
        place[np.argsort(hashes, kind="stable")] = np.arange(count)
        test, held = _whole_shares(count, spec)
    return np.select([place < test, place < held], ["test", "validation"], "train")


def _whole_shares(count: int, spec: SplitSpec) -> tuple[int, int]:
    """Where the ranks are cut, so that no part is empty."""
    test = min(max(1, round(spec.test * count)), count - 2)
    validation = min(max(1, round(spec.validation * count)), count - test - 1)
    return test, test + validation


# --- by time ---------------------------------------------------------------------------------------------------------


def _by_time(posts: pa.Table, spec: SplitSpec) -> npt.NDArray[np.str_]:
    posted = np.asarray(_chunk(posts["posted_at"]).cast(pa.timestamp("us", tz="UTC")).cast(pa.int64()))
    # What must not lie before a cut: the post itself, or its author's first post.
    earliest = posted
    if spec.kind == "time_author":
        authors = author_codes(posts)
        first = np.full(authors.max(initial=-1) + 1, np.iinfo(np.int64).max)
        np.minimum.at(first, authors, posted)
        earliest = first[authors]
    every = np.ones(len(posted), dtype=bool)
    test, before = _cut(posted, earliest, every, spec.test, spec)
    validation, train = _cut(posted, earliest, before, spec.validation / (1 - spec.test), spec)
    parts = np.select([test, validation, train], ["test", "validation", "train"], "unused")
    if spec.kind == "time_author" and (test | validation | train).mean() < _LEAST_USED:
        raise TableError(
            f"split kind 'time_author' can use only {(parts != 'unused').sum()} of {len(parts)} posts, since few "
            "authors are new: use kind 'time' or 'author', or a smaller gap_days"
        )
    return parts


def _cut(posted: _Ints, earliest: _Ints, rows: _Bools, share: float, spec: SplitSpec) -> tuple[_Bools, _Bools]:
    """The latest cut that leaves at least `share` of the used rows after it: (rows after it, rows before the gap)."""
    times = np.sort(posted[rows])
    moments = np.unique(times)
    after = len(times) - np.searchsorted(np.sort(earliest[rows]), moments)
    gap = round(spec.gap_days * _DAY)
    before = np.searchsorted(times, moments - gap)
    enough = np.flatnonzero((before > 0) & (after > 0) & (after >= share * (after + before)))
    if not len(enough):
        raise TableError(_too_few(times, spec))
    moment = moments[enough[-1]]
    return rows & (earliest >= moment), rows & (posted < moment - gap)


def _too_few(times: _Ints, spec: SplitSpec) -> str:
    days = (times[-1] - times[0]) / _DAY if len(times) else 0.0
    return (
        f"{len(times)} posts over {days:.1f} days cannot be cut by kind {spec.kind!r} with gap_days={spec.gap_days:g} "
        "into non-empty parts: use a smaller gap_days, more posts, or kind 'author'"
    )
