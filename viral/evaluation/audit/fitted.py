"""Checks of what must be fitted on training posts alone: means and scales, label constants, stored posts."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from viral.datasets.labelled_features import RunningMoments, Statistics
from viral.evaluation.audit.evidence import Evidence
from viral.evaluation.audit.finding import Finding
from viral.evaluation.audit.fitted_state import FittedState

Floats = npt.NDArray[np.float64]

SCALERS, TARGET, CONSTANTS, MEMBERS = "scalers", "target_scale", "label_constants", "neighbour_posts"
REFERENCE, FUTURE = "reference_posts", "future_neighbours"
_TRAIN = "train again (viral train)"
_MIN_VARIANCE = 1e-6  # of the squared mean: below this, single precision cancels the variance


def scalers(evidence: Evidence) -> list[Finding]:
    """Inputs are standardised by the mean and standard deviation of the training posts."""
    return [finding for state, current in evidence.fitted if current for finding in _scalers(state, current)]


def target_scale(evidence: Evidence) -> list[Finding]:
    """The target is standardised by the mean and standard deviation of the training posts."""
    return [finding for state, current in evidence.fitted if current for finding in _target(state, current)]


def label_constants(evidence: Evidence) -> list[Finding]:
    """The threshold and the constants of the label are those of the training posts."""
    if evidence.label is None:
        return []
    stored, refitted = evidence.label.stored, evidence.label.refitted
    # Refitted by the same code on the same numbers: only rounding may differ.
    wrong = [name for name, value in refitted.items() if not np.isclose(stored.get(name, np.nan), value, rtol=1e-9)]
    if not wrong:
        return []
    first = wrong[0]
    detail = f"{first} is {stored.get(first, np.nan):.6g}, and {refitted[first]:.6g} by the training posts"
    return [Finding.truncated(CONSTANTS, wrong, [], detail, "label again (viral label) and train on that")]


def neighbour_posts(evidence: Evidence) -> list[Finding]:
    """The posts that a nearest-neighbour member stores are training posts; they are recognised by their scores."""
    return [finding for state, _ in evidence.fitted for finding in _stored_posts(state, evidence.rows)]


def reference_posts(evidence: Evidence) -> list[Finding]:
    """The reference posts are training posts."""
    if evidence.reference is None:
        return []
    train = evidence.rows["post_id"].filter(pc.equal(evidence.rows["split"], "train")).combine_chunks()
    others = evidence.reference["post_id"].filter(pc.invert(pc.is_in(evidence.reference["post_id"], train)))
    detail = "a post that others are compared with is no training post"
    return [Finding.truncated(REFERENCE, ["post_id"], others.to_pylist(), detail, _TRAIN)] if len(others) else []


def future_neighbours(evidence: Evidence) -> list[Finding]:
    """No post is compared with one that was posted later, or at the same time."""
    if evidence.neighbours is None:
        return []
    posted, compared = evidence.neighbours["posted_at"], evidence.neighbours["neighbour_posted_at"]
    wrong = evidence.neighbours.filter(pc.fill_null(pc.greater_equal(compared, posted), False))
    detail, fix = "a post is compared with a later one", "compare with posts alone that were posted before it"
    posts = wrong["post_id"].unique().to_pylist()
    return [Finding.truncated(FUTURE, ["neighbour_posted_at"], posts, detail, fix)] if posts else []


def _scalers(state: FittedState, current: Statistics) -> Iterator[Finding]:
    for name, mean in state.means.items():
        if name not in current.moments:
            continue
        scale = state.scales[name]
        # An infinite scale is of a column that is left out: it says nothing of any post.
        wrong = int((_differs(mean, scale, current.moments[name]) & np.isfinite(scale)).sum())
        if wrong:
            detail = (
                f"the mean or scale of {wrong} of {len(mean)} values in {state.name} is not that of the "
                f"{current.rows} training posts"
            )
            yield Finding.truncated(SCALERS, [name], [], detail, _TRAIN)


def _target(state: FittedState, current: Statistics) -> Iterator[Finding]:
    mean, scale, moments = state.target.mean, state.target.scale, current.moments["target"]
    if _differs(np.array([mean]), np.array([scale]), moments).any():
        detail = (
            f"the target's mean and scale in {state.name} are {mean:.6g} and {scale:.6g}, and "
            f"{moments.mean[0]:.6g} and {moments.scale[0]:.6g} over the {current.rows} training posts"
        )
        yield Finding.truncated(TARGET, ["target"], [], detail, _TRAIN)


def _differs(mean: Floats, scale: Floats, moments: RunningMoments) -> npt.NDArray[np.bool_]:
    """Mask of the means and scales (dim,) that differ from the moments by more than single precision."""
    variance = moments.squares / max(1, moments.count) - moments.mean**2
    # Where single precision cancels the variance, no difference can be told from rounding.
    reliable = variance > _MIN_VARIANCE * (1 + moments.mean**2)
    # Tolerances of single precision, in which networks and ensembles store their statistics.
    shifted = np.abs(mean - moments.mean) > 1e-5 * moments.scale + 4e-7 * np.abs(moments.mean)
    stretched = np.abs(scale - moments.scale) > 1e-4 * moments.scale
    return reliable & (shifted | stretched)


def _stored_posts(state: FittedState, rows: pa.Table) -> Iterator[Finding]:
    if state.scores is None:
        return
    # The member stores no ids: its posts are recognised by their standardised targets, up to rounding.
    standard = np.round((rows["target"].to_numpy() - state.target.mean) / state.target.scale, 9)
    train = rows["split"].to_numpy() == "train"
    scores, counts = np.unique(np.round(state.scores, 9), return_counts=True)
    train_scores, train_counts = np.unique(standard[train], return_counts=True)
    index = np.minimum(np.searchsorted(train_scores, scores), max(0, len(train_scores) - 1))
    if len(train_scores):
        # As often as training posts have that target: equal targets cannot be told apart.
        allowed = np.where(train_scores[index] == scores, train_counts[index], 0)
    else:
        allowed = np.zeros(len(scores), np.int64)
    excess = scores[counts > allowed]
    if len(excess):
        posts = rows["post_id"].filter(pa.array(~train & np.isin(standard, excess))).to_pylist()
        count = int((counts - allowed).clip(0).sum())
        detail = f"{count} of the posts that {state.name} compares with are no training posts"
        yield Finding.truncated(MEMBERS, ["knn.score"], posts, detail, _TRAIN)
