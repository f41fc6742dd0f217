"""Warnings that a careful colleague would give about posts, and refusals of a map that does not fit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from viral.errors import SourceError
from viral.sources.identifiers import count_rounded, times_in_ids
from viral.sources.parsed import Findings
from viral.tables.schemas import FROM_ID

VIEWS_BELOW_LIKES = "posts have fewer views than likes: another count, or zeros for unknown ones (values: {0: null})?"
POSTED_LATE = "posts have a posted_at after their scraped_at: is it another time?"
FAR_FROM_ID = "posts have a posted_at that is hours or days from the time in their id: another column, or --zone?"
INEXACT = "posts have a posted_at that is a day or an age in words only: the hour that models read is not theirs"
LONG = "posts last longer than an hour: are these milliseconds (unit: ms)?"
FROM_IDS = "posts have no posted_at: the time in their id is stored"
# Counts that serve the refusals and fractions below; they are no warnings by themselves.
_LONG_IDS, _ROUNDED_IDS, _TIMED = "long ids", "rounded ids", "posts with two times"
_POSTS, _NUMBERED, _LASTING = "posts", "ids that are row numbers", "posts with a duration"
_INTERNAL = (_LONG_IDS, _ROUNDED_IDS, _TIMED, _POSTS, _NUMBERED, _LASTING)
_UNREAD, _SHOWN = "not read, as no column has such a name (--map reads them): ", 20
_FAR_SECONDS = 2 * 3600.0  # uploads and drafts lie minutes apart
# A refusal needs a number of rows and a fraction of them: a handful of odd values must not stop a file.
_MIN_ROUNDED, _MAX_ROUNDED = 3, 0.2  # 0.2 % of good identifiers look so
# That ten identifiers count with their rows is no chance.
_MIN_NUMBERED, _MAX_NUMBERED = 10, 0.9
_MIN_UNREADABLE, _MAX_UNREADABLE = 3, 0.5
_MOST = {FAR_FROM_ID: _TIMED, LONG: _LASTING}  # warnings of a wrong column, zone or unit, which most posts show
_MAX_FEW = 0.5  # of them: a few posts may be so for reasons of their own
_HOUR_SECONDS = 3600.0  # few short videos last so long, and few last less than 3.6 s
_LATE_SECONDS = 60.0  # that two clocks differ


def check_posts(posts: pa.Table, rows: npt.NDArray[np.int64], unread: Sequence[str] = ()) -> Findings:
    """Count the posts that a reader should know about.

    Args:
        posts: rows of `schemas.POSTS`.
        rows: their numbers in the file, (N,).
        unread: names in the file that no column is read from.
    """
    warnings = Counter[str]()
    warnings[_POSTS] = posts.num_rows
    warnings[_NUMBERED] = _count_numbered(posts["post_id"], rows)
    if unread:
        names = ", ".join(unread[:_SHOWN]) + (" …" if len(unread) > _SHOWN else "")
        warnings[f"{_UNREAD}{names}"] = posts.num_rows
    warnings[VIEWS_BELOW_LIKES] = _count(pc.less(posts["views"], posts["likes"]))
    late = pc.subtract(posts["posted_at"].cast(pa.int64()), posts["scraped_at"].cast(pa.int64()))
    warnings[POSTED_LATE] = _count(pc.greater(late, int(_LATE_SECONDS * 1e6)))
    warnings[LONG] = _count(pc.greater(posts["duration_seconds"], _HOUR_SECONDS))
    warnings[_LASTING] = posts.num_rows - posts["duration_seconds"].null_count
    # Times taken from the identifier agree with it by themselves: only stated ones are compared.
    in_ids = times_in_ids(posts["post_id"].combine_chunks(), posts["page_url"].combine_chunks())
    stated = pc.if_else(pc.equal(pc.fill_null(posts["posted_at_from"], ""), FROM_ID), None, posts["posted_at"])
    seconds = np.asarray(pc.fill_null(stated.cast(pa.int64()).cast(pa.float64()), np.nan)) / 1e6
    distance = np.abs(in_ids - seconds)
    warnings[FAR_FROM_ID] = int((distance > _FAR_SECONDS).sum())
    warnings[_TIMED] = int(np.isfinite(distance).sum())
    origins = posts["posted_at_from"]
    warnings[FROM_IDS] = _count(pc.equal(origins, FROM_ID))
    warnings[INEXACT] = _count(pc.is_valid(origins)) - warnings[FROM_IDS]
    warnings[_ROUNDED_IDS], warnings[_LONG_IDS] = count_rounded(posts["post_id"].combine_chunks())
    # `+` drops the warnings that concern no row.
    return Findings(warnings=+warnings)


def refuse_misfits(findings: Findings, file: str) -> None:
    """Refuse rows that show that a map does not fit.

    Raises:
        SourceError: most values of a column cannot be read, or identifiers were rounded.
    """
    for column, count in findings.unreadable.items():
        if count >= _MIN_UNREADABLE and count > _MAX_UNREADABLE * findings.values[column]:
            raise SourceError(
                f"{file}: {count} of {findings.values[column]} values of {column} cannot be read, as "
                f"{findings.examples[column]}; if it is the right column, add --force"
            )
    numbered, posts = findings.warnings[_NUMBERED], findings.warnings[_POSTS]
    if numbered >= _MIN_NUMBERED and numbered > _MAX_NUMBERED * posts:
        raise SourceError(
            f"{file}: the identifiers are the numbers of the rows: map post_id to another column; if they are right, "
            "add --force"
        )
    rounded, long = findings.warnings[_ROUNDED_IDS], findings.warnings[_LONG_IDS]
    if rounded >= _MIN_ROUNDED and rounded > _MAX_ROUNDED * long:
        raise SourceError(
            f"{file}: {rounded} of {long} identifiers look rounded, as by a spreadsheet or JavaScript: export them as "
            "text; if they are right, add --force"
        )


def list_warnings(findings: Findings) -> list[str]:
    """Return the warnings as sentences, and what could not be read."""
    counts = dict(findings.warnings)
    for warning, compared in _MOST.items():
        if counts.get(warning, 0) <= _MAX_FEW * counts.get(compared, 0):
            counts.pop(warning, None)
    unread = [warning for warning in counts if warning.startswith(_UNREAD)]
    other = (*_INTERNAL, *unread)
    posts = [_sentence(count, warning) for warning, count in sorted(counts.items()) if warning not in other]
    empty = [f"no row has a value of {column}" for column, count in findings.values.items() if not count]
    return posts + sorted(unread) + empty + list_unreadable(findings.unreadable, findings.examples)


def list_unreadable(unreadable: Mapping[str, int], examples: Mapping[str, str]) -> list[str]:
    """Return one sentence per column with values that could not be read."""
    return [
        f"{count} value{'s' if count > 1 else ''} of {column} could not be read, as {examples[column]}"
        for column, count in unreadable.items()
    ]


def _sentence(count: int, warning: str) -> str:
    return f"{count} {warning if count > 1 else warning.replace('posts have', 'post has')}"


def _count_numbered(ids: pa.ChunkedArray, rows: npt.NDArray[np.int64]) -> int:
    """Count the identifiers that are the number of their row, from 0 or 1."""
    numbers = pa.chunked_array([pa.array(rows)])
    # Exporters count from 1, pandas writes an index that counts from 0.
    same = (pc.equal(ids, pc.cast(first, pa.string())) for first in (numbers, pc.subtract(numbers, 1)))
    return max(map(_count, same))


def _count(mask: pa.ChunkedArray) -> int:
    return int(pc.sum(pc.fill_null(mask, False), min_count=0).as_py())
