"""Checks of a model's inputs: no counts that exist only after posting, and nothing derived from them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from viral.evaluation.audit.association import explained_columns
from viral.evaluation.audit.evidence import AuditSample, Evidence
from viral.evaluation.audit.finding import Finding
from viral.evaluation.audit.ranks import matching_columns
from viral.evaluation.splits import author_codes, value_codes
from viral.tables.schemas import COUNTS

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

NAMED, VALUES, AUTHOR, BEFORE = "named_count", "count_value", "author_statistics", "sound_history"
_EXACT = 0.9999  # for author statistics: those of earlier posts alone are nearly the same, and no leak
_LEAVE_OUT = "leave the column out"
_EARLY = f"{_LEAVE_OUT}, or name a model that is meant to use early counts early-signal (--name early-signal-…)"

# Words for what viewers do, as exporters and platforms call it.
_ACTS = "|".join(
    (
        *(name.removesuffix("s") for name in COUNTS),
        *("play", "digg", "favou?rite", "collect", "bookmark", "repost", "retweet", "forward", "download"),
        *("reaction", "impression"),
    )
)
# Words for how often they do it, before or after the act.
_HOW_MANY = "count|counts|num|number|total|rate|ratio|cnt|n"
_COUNT = re.compile(
    rf"(?:^|_)(?:n?(?:{_ACTS})s|n(?:{_ACTS})|(?:{_ACTS})_(?:{_HOW_MANY})|(?:{_HOW_MANY}|log|log1p)_(?:{_ACTS})"
    "|engagement|virality|watch_time|retention)(?:_|$)"
)


def named_counts(evidence: Evidence) -> list[Finding]:
    """No input has the name of a count or of something derived from one: `views`, `likes_rate`, `playCount`."""
    names = [stream.name for stream in evidence.streams if is_count(stream.name)]
    if not names:
        return []
    detail = "an input has the name of a count that exists only after posting"
    return [Finding.truncated(NAMED, names, _posts_with(evidence, names), detail, _EARLY)]


def is_count(name: str) -> bool:
    """Whether the name of a column looks like a count that exists only after posting."""
    # camelCase and other spellings are read as snake_case, which the pattern is written for.
    snake = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
    return bool(_COUNT.search(re.sub(r"[^a-z0-9]+", "_", snake)))


def count_values(evidence: Evidence) -> list[Finding]:
    """No input column is explained by what exists only after posting: the counts, their rates, the target, `is_viral`.

    In whatever form: a copy, a monotone transform, bins, with noise, a ratio or a sum (`association`).
    """
    if evidence.sample is None:
        return []
    rows, sample = evidence.sample.rows, evidence.sample
    quantities, authors = outcomes(rows), author_codes(rows)
    columns: dict[str, list[str]] = {}
    for index, stream in enumerate(evidence.streams):
        present = sample.batch.present[:, index]
        known = {name: values[present] for name, values in quantities.items()}
        for found in explained_columns(sample.batch.vectors[stream.name][present], known, authors[present]):
            columns.setdefault(found.resembles, []).append(
                f"{stream.name}[{found.column}], correlation above {found.correlation:.2f}"
            )
    detail = "an input says what exists only after posting: it resembles {} of the same post"
    ids = rows["post_id"].to_pylist()
    # One finding per quantity, with all columns that resemble it.
    return [Finding.truncated(VALUES, names, ids, detail.format(name), _EARLY) for name, names in columns.items()]


def outcomes(rows: pa.Table) -> dict[str, Floats]:
    """What exists only after posting, by name: (N,), NaN where unknown."""
    counts = {name: _numbers(rows[name]) for name in COUNTS}
    views = np.where(counts["views"] > 0, counts["views"], np.nan)
    reactions = counts["likes"] + counts["comments"] + counts["shares"]
    rates = {f"{name} per view": counts[name] / views for name in COUNTS if name != "views"}
    return {
        **counts,
        "target": _numbers(rows["target"]),
        "is_viral": _numbers(rows["is_viral"]),
        **rates,
        "reactions": reactions,
        "reactions per view": reactions / views,
    }


def author_statistics(evidence: Evidence) -> list[Finding]:
    """No input column is the mean, median or maximum over all posts of the author, including validation and test posts.

    Only validation and test posts are checked, where a statistic of the training posts alone has other values.
    """
    if evidence.sample is None:
        return []
    rows, sample = evidence.sample.rows, evidence.sample
    # In training posts, a legal statistic of the training posts and an illegal one of all posts look alike.
    unseen = np.asarray(pc.not_equal(rows["split"], "train"), dtype=bool)
    targets = dict(_of_authors(rows, sample.authors, "all posts"))
    targets |= dict(_of_authors(rows, rows, "labelled posts"))
    detail = "an input is the {} of its author, among them posts that are held out"
    fix = f"make it of posts before the post (or of the training posts alone), or {_LEAVE_OUT}"
    return _matches(evidence, sample, targets, unseen, _EXACT, AUTHOR, detail, fix)


def sound_history(evidence: Evidence) -> list[Finding]:
    """The count of uses of a sound includes no posts from after the post."""
    if evidence.sounds is None:
        return []
    dated = evidence.sounds.filter(pc.is_valid(evidence.sounds["posted_at"]))
    counts = pa.array(_earlier_uses(dated), pa.float64())
    actual = counts.take(pc.index_in(evidence.rows["post_id"], dated["post_id"].combine_chunks()))
    stored = evidence.rows["sound_posts_before"]
    wrong = pc.fill_null(pc.greater(stored, pc.add(actual, _rounding_error(stored))), False)
    posts = evidence.rows["post_id"].filter(wrong).to_pylist()
    fix = "count the sounds again (viral sounds), backfill into a fresh table and train on that"
    detail = "uses of the sound are counted that came after the post"
    return [Finding.truncated(BEFORE, ["popularity[0]"], posts, detail, fix)] if posts else []


def _posts_with(evidence: Evidence, names: Sequence[str]) -> list[str]:
    """Ids of the sampled posts that have any of these inputs."""
    if evidence.sample is None:
        return []
    columns = [stream.name in names for stream in evidence.streams]
    present = evidence.sample.batch.present[:, columns].any(axis=1)
    ids: list[str] = evidence.sample.rows["post_id"].filter(pa.array(present)).to_pylist()
    return ids


def _earlier_uses(posts: pa.Table) -> npt.NDArray[np.int64]:
    """Number of earlier posts with the same sound, (N,). Independent of the code that made the inputs, to test it."""
    sounds, posted = value_codes(posts, "sound_id"), posts["posted_at"].cast(pa.int64()).to_numpy()
    order = np.lexsort((posted, sounds))
    position = np.arange(len(order))
    new_sound, new_time = (np.diff(codes[order], prepend=-1) != 0 for codes in (sounds, posted))
    starts, times = (np.maximum.accumulate(np.where(new, position, 0)) for new in (new_sound, new_sound | new_time))
    earlier = np.empty(len(order), np.int64)
    earlier[order] = times - starts
    return earlier


def _rounding_error(counts: pa.ChunkedArray) -> pa.ChunkedArray:
    """Largest error of counts that were stored as logarithms in single precision."""
    return pc.add(pc.multiply(counts, 1e-5), 0.5)


def _matches(
    evidence: Evidence,
    sample: AuditSample,
    targets: Mapping[str, Floats],
    rows: Bools,
    threshold: float,
    check: str,
    detail: str,
    fix: str,
) -> list[Finding]:
    """Return a finding per target that an input column matches over those rows."""
    columns: dict[str, list[str]] = {}
    for index, stream in enumerate(evidence.streams):
        present = sample.batch.present[:, index] & rows
        values, finite = sample.batch.vectors[stream.name][present], {name: t[present] for name, t in targets.items()}
        for column, name, strength in matching_columns(values, finite, threshold):
            # One finding per count, with all columns that match it.
            columns.setdefault(name, []).append(f"{stream.name}[{column}], |Spearman| {strength:.4f}")
    ids = sample.rows["post_id"].filter(pa.array(rows)).to_pylist()
    return [Finding.truncated(check, names, ids, detail.format(target), fix) for target, names in columns.items()]


def _of_authors(rows: pa.Table, posts: pa.Table, which: str) -> Iterator[tuple[str, Floats]]:
    """Yield statistics of each row's author over the posts, (N,), by name; NaN for authors with fewer than two."""
    names = posts["author_id"].combine_chunks().dictionary_encode()
    codes = np.asarray(pc.fill_null(names.indices, -1).cast(pa.int64()))
    author = pc.index_in(rows["author_id"], names.dictionary)
    # Posts without an author must not match each other.
    without = np.asarray(pc.or_(author.is_null(), rows["author_id"].is_null()), dtype=bool)
    index = np.where(without, 0, np.asarray(pc.fill_null(author, 0)))
    for column in [name for name in (*COUNTS, "target") if name in posts.column_names]:
        for statistic, values in _statistics(codes, _numbers(posts[column]), len(names.dictionary)).items():
            of_rows = values[index] if len(values) else np.full(rows.num_rows, np.nan)
            yield f"{statistic} {column} of {which}", np.where(without, np.nan, of_rows)


def _statistics(codes: npt.NDArray[np.int64], values: Floats, authors: int) -> dict[str, Floats]:
    """Statistics by name, (authors,), over the finite values."""
    finite = (codes >= 0) & np.isfinite(values)
    order = np.lexsort((values[finite], codes[finite]))
    codes, values = codes[finite][order], values[finite][order]
    sizes = np.bincount(codes, minlength=authors)
    ends = np.cumsum(sizes)
    # The median: the middle value of each author, or the mean of the two middle ones.
    middle = (np.maximum(ends - sizes + (sizes - 1) // 2, 0), ends - sizes + sizes // 2)
    # The NaN at the end is what authors without posts point to.
    several, padded = sizes >= 2, np.append(values, np.nan)
    statistics = {
        "mean": np.bincount(codes, values, authors) / np.maximum(sizes, 1),
        "mean log": np.bincount(codes, np.log1p(np.maximum(values, 0)), authors) / np.maximum(sizes, 1),
        "median": (padded[middle[0]] + padded[np.minimum(middle[1], len(values))]) / 2,
        "greatest": padded[np.maximum(ends - 1, 0)],
    }
    return {name: np.where(several, statistic, np.nan) for name, statistic in statistics.items()}


def _numbers(column: pa.ChunkedArray) -> Floats:
    numbers: Floats = pc.fill_null(column.cast(pa.float64()), np.nan).to_numpy()
    return numbers
