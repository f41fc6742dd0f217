"""How much each modality moves a score: exact Shapley values.

Of all orders in which the modalities of a post could become known, the mean step that each makes (Shapley 1953). With M
of them the model is asked 2^M - 1 times, which is exact and, for nine at most, quick.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from viral.datasets.streams import Batch
from viral.errors import UsageError
from viral.scoring.calibration import log_odds
from viral.scoring.scorer import Scorer

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Shapley:
    """Of one post, in the units of the label (`score`) and in log odds of being viral.

    The values of the modalities sum to the score less `nothing`, what is said of a post of which nothing is known: the
    mean of the training posts. A modality's value says what the model makes of it beside the others, not what would
    happen if it were changed.
    """

    score: dict[str, float]
    score_of_nothing: float
    odds: dict[str, float]
    odds_of_nothing: float


def shapley(scorer: Scorer, batch: Batch) -> list[Shapley]:
    """The values of each post of a batch, for the modalities that it has.

    Raises:
        UsageError: the model is not calibrated, so that what is said of nothing is not known.
    """
    if scorer.calibration is None or scorer.reference is None:
        raise UsageError(f"{scorer.saved} is not calibrated: `viral evaluate --model {scorer.saved}` does it")
    known = scorer.reference.rows["target"].to_numpy()
    nothing = float(known.mean()), float(log_odds(np.array([scorer.calibration.base_rate]))[0])
    return [_of_one(scorer, batch.take(np.array([row])), *nothing) for row in range(len(batch.present))]


def _of_one(scorer: Scorer, post: Batch, score_of_nothing: float, odds_of_nothing: float) -> Shapley:
    modalities = [stream.modality for stream in scorer.streams]
    there = list(dict.fromkeys(m for m, here in zip(modalities, post.present[0], strict=True) if here))
    said = scorer.said(_every_subset(post, modalities, there))
    scores = np.concatenate([[score_of_nothing], said.quantiles[:, 1]])
    odds = np.concatenate([[odds_of_nothing], log_odds(said.probability)])
    return Shapley(
        dict(zip(there, _values(scores, len(there)), strict=True)),
        score_of_nothing,
        dict(zip(there, _values(odds, len(there)), strict=True)),
        odds_of_nothing,
    )


def _every_subset(post: Batch, modalities: Sequence[str], there: Sequence[str]) -> Batch:
    """The post (1,) once for each non-empty subset of its modalities: the bits of the row's number plus one."""
    place = np.array([there.index(m) if m in there else 0 for m in modalities])
    chosen = np.arange(1, 1 << len(there))
    present = post.present & (chosen[:, None] >> place & 1).astype(bool)
    rows = np.zeros(len(chosen), np.int64)
    vectors = {
        stream: np.where(present[:, at, None], vectors[rows], np.float32(0))
        for at, (stream, vectors) in enumerate(post.vectors.items())
    }
    return Batch(vectors, present)


def _values(worth: Floats, count: int) -> list[float]:
    """Shapley values of `count` players, from what each coalition is worth, (2^count,), numbered by its bits."""
    coalitions = np.arange(1 << count)
    sizes = np.array([int(each).bit_count() for each in coalitions])
    weights = np.array([1 / (count * math.comb(count - 1, size)) if size < count else 0.0 for size in sizes])
    values = []
    for player in range(count):
        without = coalitions[(coalitions >> player & 1) == 0]
        values.append(float((weights[without] * (worth[without | 1 << player] - worth[without])).sum()))
    return values
