"""Checks that the splits do not overlap: in authors, time, videos, sounds."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from viral.datasets.streams import Stream
from viral.duplicates.clusters import video_clusters
from viral.evaluation.audit.evidence import Evidence
from viral.evaluation.audit.finding import Finding
from viral.evaluation.splits import value_codes

_DAY = 86_400_000_000  # microseconds
_Ints = npt.NDArray[np.int64]
_Bools = npt.NDArray[np.bool_]

AUTHORS, TIME, VIDEOS, SOUNDS, CONTINUED = "shared_author", "time_order", "shared_video", "shared_sound", "known_before"
_VIDEO = "video"
_AGAIN = "label again (viral label --split {}) and train on that"
_IGNORED, _TRAIN, _VALIDATION, _TEST = -1, 0, 1, 2
_LEVELS = {"train": _TRAIN, "validation": _VALIDATION, "test": _TEST}


def authors(evidence: Evidence) -> list[Finding]:
    """No author is in two splits, if posts are split by author."""
    if evidence.kind not in ("author", "time_author"):
        return []
    rows = _later(evidence.rows, "author_id", _levels(evidence.rows))
    detail = f"an author is in two parts of a split by {evidence.kind}"
    return _findings(AUTHORS, "author_id", evidence.rows, rows, detail, _AGAIN.format(evidence.kind))


def time_order(evidence: Evidence) -> list[Finding]:
    """Each split is newer than the one before it, by more than the gap, if posts are split by time."""
    if evidence.kind not in ("time", "time_author"):
        return []
    # Undated posts are ignored below; the number only fills the array.
    posted = np.asarray(pc.fill_null(evidence.rows["posted_at"].cast(pa.int64()), np.iinfo(np.int64).min))
    dated = np.asarray(evidence.rows["posted_at"].is_valid(), dtype=bool)
    levels, gap = np.where(dated, _levels(evidence.rows), _IGNORED), round(evidence.gap_days * _DAY)
    wrong = np.zeros(len(posted), dtype=bool)
    for level in (_VALIDATION, _TEST):
        wrong |= _out_of_order(posted, (levels >= _TRAIN) & (levels < level), levels == level, gap)
    detail = f"a post is not newer than those learnt from by {evidence.gap_days:g} days, or one of those is too new"
    return _findings(TIME, "posted_at", evidence.rows, wrong, detail, _AGAIN.format(evidence.kind))


def videos(evidence: Evidence) -> list[Finding]:
    """No test post has the video of a training or validation post, or a near-duplicate of it, whatever the split."""
    rows = evidence.rows.append_column(_VIDEO, pa.array(video_clusters(evidence.rows).codes))
    # Training and validation count as one: a model is chosen by the latter, too.
    copies = _later(rows, _VIDEO, np.where(_levels(rows) == _TEST, _TEST, _TRAIN))
    detail = "a test post has the video of one that was learnt from, or a near-duplicate"
    fix = "label again, now that the videos' hashes are known: later copies of a video are left out; and train on that"
    return _findings(VIDEOS, _VIDEO, rows, copies, detail, fix)


def sounds(evidence: Evidence) -> list[Finding]:
    """No sound is in two splits, if posts are split by sound, or for a model of audio alone unless split at random."""
    if evidence.kind != "sound" and (evidence.kind == "random" or not is_audio_only(evidence.streams)):
        return []
    rows = _later(evidence.rows, "sound_id", _levels(evidence.rows))
    detail = "the same sound is in two parts, for a model or a split that goes by sound"
    return _findings(SOUNDS, "sound_id", evidence.rows, rows, detail, _AGAIN.format("sound"))


def continued_from_test_posts(evidence: Evidence) -> list[Finding]:
    """No test post is a training post of a model that this one was continued from."""
    is_test = pc.equal(evidence.rows["split"], "test")
    rows = np.asarray(pc.and_(is_test, pc.is_in(evidence.rows["post_id"], evidence.earlier_training_posts)), dtype=bool)
    detail, fix = "the model that it was continued from has learnt from test posts", "train it from the beginning"
    return _findings(CONTINUED, "post_id", evidence.rows, rows, detail, fix)


def is_audio_only(streams: tuple[Stream, ...]) -> bool:
    """Whether all inputs of a model are audio."""
    return {stream.modality for stream in streams} == {"audio"}


def _levels(rows: pa.Table) -> _Ints:
    return np.array([_LEVELS[part] for part in rows["split"].to_pylist()], np.int64)


def _later(rows: pa.Table, column: str, levels: _Ints) -> _Bools:
    """Mask of the posts whose value of a column is in an earlier split too; null values are ignored."""
    codes = value_codes(rows, column)
    first = np.full(codes.max(initial=-1) + 1, _TEST)
    # The earliest split in which each value occurs.
    np.minimum.at(first, codes, levels)
    later: _Bools = levels > first[codes]
    return later


def _out_of_order(posted: _Ints, before: _Bools, after: _Bools, gap: int) -> _Bools:
    """Mask of the posts that break the order: those that are too early or too late, whichever are fewer."""
    if not before.any() or not after.any():
        return np.zeros(len(posted), dtype=bool)
    late = before & (posted + gap >= posted[after].min())
    early = after & (posted <= posted[before].max() + gap)
    fewer: _Bools = late if late.sum() <= early.sum() else early
    return fewer


def _findings(check: str, column: str, rows: pa.Table, wrong: _Bools, detail: str, fix: str) -> list[Finding]:
    if not wrong.any():
        return []
    return [Finding.truncated(check, [column], rows["post_id"].filter(pa.array(wrong)).to_pylist(), detail, fix)]
