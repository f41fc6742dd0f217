"""What may not be on both sides of a split: authors, later and earlier posts, videos, sounds."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from viral.datasets.streams import Stream
from viral.evaluation.audit.evidence import Evidence
from viral.evaluation.audit.finding import Finding
from viral.evaluation.splits import value_codes

_DAY = 86_400_000_000  # microseconds
_Ints = npt.NDArray[np.int64]
_Bools = npt.NDArray[np.bool_]

AUTHORS, TIME, VIDEOS, SOUNDS, KNOWN = "shared_author", "time_order", "shared_video", "shared_sound", "known_before"
_AGAIN = "label again (viral label --split {}) and train on that"
_NEVER, _LEARNT, _HELD, _TESTED = -1, 0, 1, 2
_LEVELS = {"train": _LEARNT, "validation": _HELD, "test": _TESTED}


def authors(evidence: Evidence) -> list[Finding]:
    """No author in two parts, where the split is by author."""
    if evidence.kind not in ("author", "time_author"):
        return []
    rows = _later(evidence.rows, "author_id", _levels(evidence.rows))
    said = f"an author is in two parts of a split by {evidence.kind}"
    return _found(AUTHORS, "author_id", evidence.rows, rows, said, _AGAIN.format(evidence.kind))


def time_order(evidence: Evidence) -> list[Finding]:
    """Where the split is by time, each part is newer than those before it, by more than its gap."""
    if evidence.kind not in ("time", "time_author"):
        return []
    posted = np.asarray(pc.fill_null(evidence.rows["posted_at"].cast(pa.int64()), np.iinfo(np.int64).min))
    known = np.asarray(evidence.rows["posted_at"].is_valid(), dtype=bool)
    levels, gap = np.where(known, _levels(evidence.rows), _NEVER), round(evidence.gap_days * _DAY)
    wrong = np.zeros(len(posted), dtype=bool)
    for level in (_HELD, _TESTED):
        wrong |= _out_of_order(posted, (levels >= _LEARNT) & (levels < level), levels == level, gap)
    said = f"a post is not newer than those learnt from by {evidence.gap_days:g} days, or one of those is too new"
    return _found(TIME, "posted_at", evidence.rows, wrong, said, _AGAIN.format(evidence.kind))


def videos(evidence: Evidence) -> list[Finding]:
    """No file both among the posts learnt from and in the test, whatever the split."""
    rows = _later(evidence.rows, "sha256", np.where(_levels(evidence.rows) == _TESTED, _TESTED, _LEARNT))
    fix = "label again, now that the files' hashes are known: later copies of a video are left out; and train on that"
    return _found(VIDEOS, "sha256", evidence.rows, rows, "a test post has the file of one that was learnt from", fix)


def sounds(evidence: Evidence) -> list[Finding]:
    """No sound in two parts, where the split is by sound or the model hears and nothing else; never by random."""
    if evidence.kind != "sound" and (evidence.kind == "random" or not hears_alone(evidence.streams)):
        return []
    rows = _later(evidence.rows, "sound_id", _levels(evidence.rows))
    said = "the same sound is in two parts, for a model or a split that goes by sound"
    return _found(SOUNDS, "sound_id", evidence.rows, rows, said, _AGAIN.format("sound"))


def known_before(evidence: Evidence) -> list[Finding]:
    """No test post among those that the model had learnt from when it was another."""
    tested = pc.equal(evidence.rows["split"], "test")
    rows = np.asarray(pc.and_(tested, pc.is_in(evidence.rows["post_id"], evidence.known)), dtype=bool)
    said, fix = "the model that it was continued from has learnt from test posts", "train it from the beginning"
    return _found(KNOWN, "post_id", evidence.rows, rows, said, fix)


def hears_alone(streams: tuple[Stream, ...]) -> bool:
    """Whether sound is all that a model with these inputs knows of a post."""
    return {stream.modality for stream in streams} == {"audio"}


def _levels(rows: pa.Table) -> _Ints:
    return np.array([_LEVELS[part] for part in rows["split"].to_pylist()], np.int64)


def _later(rows: pa.Table, column: str, levels: _Ints) -> _Bools:
    """The posts whose value of a column, if there is any, is in an earlier part too."""
    codes = value_codes(rows, column)
    first = np.full(codes.max(initial=-1) + 1, _TESTED)
    np.minimum.at(first, codes, levels)
    later: _Bools = levels > first[codes]
    return later


def _out_of_order(posted: _Ints, before: _Bools, after: _Bools, gap: int) -> _Bools:
    """The posts that break the order: the early ones or the late ones, whichever are fewer."""
    if not before.any() or not after.any():
        return np.zeros(len(posted), dtype=bool)
    late = before & (posted + gap >= posted[after].min())
    early = after & (posted <= posted[before].max() + gap)
    fewer: _Bools = late if late.sum() <= early.sum() else early
    return fewer


def _found(check: str, column: str, rows: pa.Table, wrong: _Bools, said: str, fix: str) -> list[Finding]:
    if not wrong.any():
        return []
    return [Finding.of(check, [column], rows["post_id"].filter(pa.array(wrong)).to_pylist(), said, fix)]
