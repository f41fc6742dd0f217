"""What may not be among a model's inputs: counts that exist only after posting, and what was made of them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from viral.datasets.streams import Stream
from viral.evaluation.audit.evidence import Evidence, Sample
from viral.evaluation.audit.finding import Finding
from viral.evaluation.audit.ranks import alike
from viral.evaluation.splits import value_codes
from viral.tables.schemas import COUNTS

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

NAMED, VALUES, AUTHOR, BEFORE = "named_count", "count_value", "author_statistics", "sound_history"
SAME = 0.995
"""The |Spearman| from which on two columns say the same."""
_EXACTLY = 0.9999  # an author's earlier posts say nearly what all of them say: that is no leak
_LEAVE_OUT = "leave the column out"
_EARLY = f"{_LEAVE_OUT}, or call a model that is meant to look at early counts early-signal (--name early-signal-…)"

_ACTS = "|".join(
    (
        *(name.removesuffix("s") for name in COUNTS),
        *("play", "digg", "favou?rite", "collect", "bookmark", "repost", "retweet", "forward", "download"),
        *("reaction", "impression"),
    )
)
_HOW_MANY = "count|counts|num|number|total|rate|ratio|cnt|n"
_COUNT = re.compile(
    rf"(?:^|_)(?:n?(?:{_ACTS})s|n(?:{_ACTS})|(?:{_ACTS})_(?:{_HOW_MANY})|(?:{_HOW_MANY}|log|log1p)_(?:{_ACTS})"
    "|engagement|virality|watch_time|retention)(?:_|$)"
)


def named_counts(evidence: Evidence) -> list[Finding]:
    """No input with the name of a count or of what is made of one: `views`, `likes_rate`, `playCount`."""
    names = [stream.name for stream in evidence.streams if is_count(stream.name)]
    if not names:
        return []
    said = "an input has the name of a count that exists only after posting"
    return [Finding.of(NAMED, names, _having(evidence, names), said, _EARLY)]


def is_count(name: str) -> bool:
    """Whether a column of that name holds what exists only after posting, as far as the name tells."""
    snake = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
    return bool(_COUNT.search(re.sub(r"[^a-z0-9]+", "_", snake)))


def valued_counts(evidence: Evidence) -> list[Finding]:
    """No value of any input that rises, or falls, with a count of the post or with its target."""
    if evidence.sample is None:
        return []
    rows = evidence.sample.rows
    truths = {name: _numbers(rows[name]) for name in (*COUNTS, "target")}
    every = np.ones(rows.num_rows, dtype=bool)
    said = "an input rises or falls with the post's own {}, which exists only after posting"
    return _findings(evidence.streams, evidence.sample, truths, every, SAME, VALUES, said, _EARLY)


def author_statistics(evidence: Evidence) -> list[Finding]:
    """No value that is the mean, median or greatest of all posts of the author, those held out among them.

    Only held-out posts are looked at: a statistic of the training posts alone is another number there.
    """
    if evidence.sample is None:
        return []
    rows, sample = evidence.sample.rows, evidence.sample
    held = np.asarray(pc.not_equal(rows["split"], "train"), dtype=bool)
    truths = dict(_of_authors(rows, sample.authors, "all posts"))
    truths |= dict(_of_authors(rows, rows, "labelled posts"))
    said = "an input is the {} of its author, among them posts that are held out"
    fix = f"make it of posts before the post (or of the training posts alone), or {_LEAVE_OUT}"
    return _findings(evidence.streams, sample, truths, held, _EXACTLY, AUTHOR, said, fix)


def sound_history(evidence: Evidence) -> list[Finding]:
    """No use of a sound is counted that came after the post."""
    if evidence.sounds is None:
        return []
    dated = evidence.sounds.filter(pc.is_valid(evidence.sounds["posted_at"]))
    before = pa.array(_earlier(dated), pa.float64())
    true = before.take(pc.index_in(evidence.rows["post_id"], dated["post_id"].combine_chunks()))
    noted = evidence.rows["sound_posts_before"]
    wrong = pc.fill_null(pc.greater(noted, pc.add(true, _rounding(noted))), False)
    posts = evidence.rows["post_id"].filter(wrong).to_pylist()
    fix = "note the sounds again (python -m jobs.sounds), backfill into a fresh table and train on that"
    said = "uses of the sound are counted that came after the post"
    return [Finding.of(BEFORE, ["popularity[0]"], posts, said, fix)] if posts else []


def _having(evidence: Evidence, names: Sequence[str]) -> list[str]:
    """The sampled posts that have any of these inputs."""
    if evidence.sample is None:
        return []
    wanted = [stream.name in names for stream in evidence.streams]
    there = evidence.sample.batch.present[:, wanted].any(axis=1)
    ids: list[str] = evidence.sample.rows["post_id"].filter(pa.array(there)).to_pylist()
    return ids


def _earlier(posts: pa.Table) -> npt.NDArray[np.int64]:
    """How many posts with its sound came before each post, (N,). Not by what made the inputs: that may be wrong."""
    sounds, posted = value_codes(posts, "sound_id"), posts["posted_at"].cast(pa.int64()).to_numpy()
    order = np.lexsort((posted, sounds))
    place = np.arange(len(order))
    new_sound, new_time = (np.diff(each[order], prepend=-1) != 0 for each in (sounds, posted))
    starts, moments = (np.maximum.accumulate(np.where(new, place, 0)) for new in (new_sound, new_sound | new_time))
    earlier = np.empty(len(order), np.int64)
    earlier[order] = moments - starts
    return earlier


def _rounding(noted: pa.ChunkedArray) -> pa.ChunkedArray:
    """What its logarithm in single precision may have added to a count."""
    return pc.add(pc.multiply(noted, 1e-5), 0.5)


def _findings(
    streams: Sequence[Stream],
    sample: Sample,
    truths: Mapping[str, Floats],
    rows: Bools,
    threshold: float,
    check: str,
    said: str,
    fix: str,
) -> list[Finding]:
    """A finding for each truth that an input says, of those rows."""
    columns: dict[str, list[str]] = {}
    for at, stream in enumerate(streams):
        there = sample.batch.present[:, at] & rows
        known = {name: truth[there] for name, truth in truths.items()}
        for place, name, strength in alike(sample.batch.vectors[stream.name][there], known, threshold):
            columns.setdefault(name, []).append(f"{stream.name}[{place}], |Spearman| {strength:.4f}")
    ids = sample.rows["post_id"].filter(pa.array(rows)).to_pylist()
    return [Finding.of(check, found, ids, said.format(name), fix) for name, found in columns.items()]


def _of_authors(rows: pa.Table, posts: pa.Table, which: str) -> Iterator[tuple[str, Floats]]:
    """Statistics of each row's author over those posts, (N,), by name; NaN where they are of fewer than two."""
    names = posts["author_id"].combine_chunks().dictionary_encode()
    codes = np.asarray(pc.fill_null(names.indices, -1).cast(pa.int64()))
    owner = pc.index_in(rows["author_id"], names.dictionary)
    nobody = np.asarray(pc.or_(owner.is_null(), rows["author_id"].is_null()), dtype=bool)
    at = np.where(nobody, 0, np.asarray(pc.fill_null(owner, 0)))
    for column in [name for name in (*COUNTS, "target") if name in posts.column_names]:
        for statistic, values in _statistics(codes, _numbers(posts[column]), len(names.dictionary)).items():
            of_rows = values[at] if len(values) else np.full(rows.num_rows, np.nan)
            yield f"{statistic} {column} of {which}", np.where(nobody, np.nan, of_rows)


def _statistics(codes: npt.NDArray[np.int64], values: Floats, authors: int) -> dict[str, Floats]:
    """By name, (authors,), over the values that are known."""
    known = (codes >= 0) & np.isfinite(values)
    order = np.lexsort((values[known], codes[known]))
    codes, values = codes[known][order], values[known][order]
    sizes = np.bincount(codes, minlength=authors)
    ends = np.cumsum(sizes)
    middle = (np.maximum(ends - sizes + (sizes - 1) // 2, 0), ends - sizes + sizes // 2)
    several, padded = sizes >= 2, np.append(values, np.nan)
    found = {
        "mean": np.bincount(codes, values, authors) / np.maximum(sizes, 1),
        "mean log": np.bincount(codes, np.log1p(np.maximum(values, 0)), authors) / np.maximum(sizes, 1),
        "median": (padded[middle[0]] + padded[np.minimum(middle[1], len(values))]) / 2,
        "greatest": padded[np.maximum(ends - 1, 0)],
    }
    return {name: np.where(several, each, np.nan) for name, each in found.items()}


def _numbers(column: pa.ChunkedArray) -> Floats:
    numbers: Floats = pc.fill_null(column.cast(pa.float64()), np.nan).to_numpy()
    return numbers
