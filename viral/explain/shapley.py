"""Exact Shapley values of the modalities: how much each moves a score.

The Shapley value is the mean change of the score when a modality is added, over all orders of adding them (Shapley
1953). It takes 2^M - 1 predictions for M modalities: exact, and fast enough up to nine.
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
    """Shapley values of one post: what the model makes of a modality, not what changing it would bring.

    Attributes:
        score: by modality, in the units of the label; they sum to the score minus `base_score`.
        base_score: score without any modality: the mean of the training posts.
        odds: by modality, in log odds of being viral; `base_odds` are those without any modality.
    """

    score: dict[str, float]
    base_score: float
    odds: dict[str, float]
    base_odds: float


def shapley(scorer: Scorer, batch: Batch) -> list[Shapley]:
    """Return the Shapley values of each post of a batch, for the modalities that it has.

    Raises:
        UsageError: the model is not calibrated, so that the base values are unknown.
    """
    if scorer.calibration is None or scorer.reference is None:
        raise UsageError(f"{scorer.saved} is not calibrated: `viral evaluate --model {scorer.saved}` does it")
    targets = scorer.reference.rows["target"].to_numpy()
    base = float(targets.mean()), float(log_odds(np.array([scorer.calibration.base_rate]))[0])
    return [_explain_post(scorer, batch.take(np.array([row])), *base) for row in range(len(batch.present))]


def _explain_post(scorer: Scorer, post: Batch, base_score: float, base_odds: float) -> Shapley:
    modalities = [stream.modality for stream in scorer.streams]
    available = list(dict.fromkeys(m for m, present in zip(modalities, post.present[0], strict=True) if present))
    predictions = scorer.predict(_all_subsets(post, modalities, available))
    # The empty coalition comes first; a model cannot score a post without inputs, so the mean of the training posts
    # stands for it.
    scores = np.concatenate([[base_score], predictions.score])
    odds = np.concatenate([[base_odds], log_odds(predictions.probability)])
    return Shapley(
        dict(zip(available, _values(scores, len(available)), strict=True)),
        base_score,
        dict(zip(available, _values(odds, len(available)), strict=True)),
        base_odds,
    )


def _all_subsets(post: Batch, modalities: Sequence[str], available: Sequence[str]) -> Batch:
    """Repeat the post (1,) for each non-empty subset of its modalities; row r has those of the bits of r + 1."""
    bit = np.array([available.index(m) if m in available else 0 for m in modalities])
    subsets = np.arange(1, 1 << len(available))
    present = post.present & (subsets[:, None] >> bit & 1).astype(bool)
    rows = np.zeros(len(subsets), np.int64)
    vectors = {
        stream: np.where(present[:, index, None], vectors[rows], np.float32(0))
        for index, (stream, vectors) in enumerate(post.vectors.items())
    }
    return Batch(vectors, present)


def _values(worth: Floats, count: int) -> list[float]:
    """Return the Shapley values of `count` players, given the worth of each coalition (2^count,), indexed by bits."""
    coalitions = np.arange(1 << count)
    sizes = np.array([int(coalition).bit_count() for coalition in coalitions])
    # How often a coalition of this size comes before the player, over all orders.
    weights = np.array([1 / (count * math.comb(count - 1, size)) if size < count else 0.0 for size in sizes])
    values = []
    for player in range(count):
        without = coalitions[(coalitions >> player & 1) == 0]
        values.append(float((weights[without] * (worth[without | 1 << player] - worth[without])).sum()))
    return values
