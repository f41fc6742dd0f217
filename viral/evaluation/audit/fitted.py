"""What may be fitted on the training posts alone: means and scales, label constants, posts kept as neighbours."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from viral.datasets.labelled_features import Moments, Statistics
from viral.evaluation.audit.evidence import Evidence
from viral.evaluation.audit.finding import Finding
from viral.evaluation.audit.learnt import Learnt

Floats = npt.NDArray[np.float64]

SCALERS, TARGET, CONSTANTS, MEMBERS = "scalers", "target_scale", "label_constants", "neighbour_posts"
REFERENCE, FUTURE = "reference_posts", "future_neighbours"
_TRAIN = "train again (viral train)"
_STEADY = 1e-6  # of the squared mean: below such a variance what is left after cancellation says nothing


def scalers(evidence: Evidence) -> list[Finding]:
    """Inputs are standardised by the mean and standard deviation of the training posts."""
    return [finding for learnt, now in evidence.fitted if now for finding in _scalers(learnt, now)]


def target_scale(evidence: Evidence) -> list[Finding]:
    """So is the label."""
    return [finding for learnt, now in evidence.fitted if now for finding in _target(learnt, now)]


def label_constants(evidence: Evidence) -> list[Finding]:
    """The label's threshold and constants are those of the training posts of its table."""
    if evidence.label is None:
        return []
    stored, again = evidence.label.stored, evidence.label.again
    wrong = [name for name, value in again.items() if not np.isclose(stored.get(name, np.nan), value, rtol=1e-9)]
    if not wrong:
        return []
    first = wrong[0]
    said = f"{first} is {stored.get(first, np.nan):.6g}, and {again[first]:.6g} by the training posts"
    return [Finding.of(CONSTANTS, wrong, [], said, "label again (viral label) and train on that")]


def neighbour_posts(evidence: Evidence) -> list[Finding]:
    """The posts that a model keeps to compare others with are training posts, told by their scores."""
    return [finding for learnt, _ in evidence.fitted for finding in _kept(learnt, evidence.rows)]


def reference_posts(evidence: Evidence) -> list[Finding]:
    """So are those that are kept beside it."""
    if evidence.reference is None:
        return []
    train = evidence.rows["post_id"].filter(pc.equal(evidence.rows["split"], "train")).combine_chunks()
    others = evidence.reference["post_id"].filter(pc.invert(pc.is_in(evidence.reference["post_id"], train)))
    said = "a post that others are compared with is no training post"
    return [Finding.of(REFERENCE, ["post_id"], others.to_pylist(), said, _TRAIN)] if len(others) else []


def future_neighbours(evidence: Evidence) -> list[Finding]:
    """No post is compared with one that came later, or at the same moment."""
    if evidence.neighbours is None:
        return []
    posted, compared = evidence.neighbours["posted_at"], evidence.neighbours["neighbour_posted_at"]
    wrong = evidence.neighbours.filter(pc.fill_null(pc.greater_equal(compared, posted), False))
    said, fix = "a post is compared with a later one", "compare with posts alone that were posted before it"
    posts = wrong["post_id"].unique().to_pylist()
    return [Finding.of(FUTURE, ["neighbour_posted_at"], posts, said, fix)] if posts else []


def _scalers(learnt: Learnt, now: Statistics) -> Iterator[Finding]:
    for name, mean in learnt.means.items():
        if name not in now.moments:
            continue
        wrong = int(_other(mean, learnt.scales[name], now.moments[name]).sum())
        if wrong:
            said = (
                f"the mean or scale of {wrong} of {len(mean)} values in {learnt.name} is not that of the "
                f"{now.rows} training posts"
            )
            yield Finding.of(SCALERS, [name], [], said, _TRAIN)


def _target(learnt: Learnt, now: Statistics) -> Iterator[Finding]:
    mean, scale, true = learnt.target.mean, learnt.target.scale, now.moments["target"]
    if _other(np.array([mean]), np.array([scale]), true).any():
        said = (
            f"the target's mean and scale in {learnt.name} are {mean:.6g} and {scale:.6g}, and {true.mean[0]:.6g} and "
            f"{true.scale[0]:.6g} over the {now.rows} training posts"
        )
        yield Finding.of(TARGET, ["target"], [], said, _TRAIN)


def _other(mean: Floats, scale: Floats, now: Moments) -> npt.NDArray[np.bool_]:
    """Which means or scales (dim,), in single precision, are not those of the moments."""
    variance = now.squares / max(1, now.count) - now.mean**2
    steady = variance > _STEADY * (1 + now.mean**2)
    shifted = np.abs(mean - now.mean) > 1e-5 * now.scale + 4e-7 * np.abs(now.mean)
    stretched = np.abs(scale - now.scale) > 1e-4 * now.scale
    return steady & (shifted | stretched)


def _kept(learnt: Learnt, rows: pa.Table) -> Iterator[Finding]:
    if learnt.scores is None:
        return
    standard = np.round((rows["target"].to_numpy() - learnt.target.mean) / learnt.target.scale, 9)
    train = rows["split"].to_numpy() == "train"
    kept, often = np.unique(np.round(learnt.scores, 9), return_counts=True)
    there, allowed = np.unique(standard[train], return_counts=True)
    place = np.minimum(np.searchsorted(there, kept), max(0, len(there) - 1))
    limit = np.where(there[place] == kept, allowed[place], 0) if len(there) else np.zeros(len(kept), np.int64)
    more = kept[often > limit]
    if len(more):
        posts = rows["post_id"].filter(pa.array(~train & np.isin(standard, more))).to_pylist()
        said = (
            f"{int((often - limit).clip(0).sum())} of the posts that {learnt.name} compares with are no training posts"
        )
        yield Finding.of(MEMBERS, ["knn.score"], posts, said, _TRAIN)
