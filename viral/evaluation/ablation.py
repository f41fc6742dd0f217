"""Metrics of a model that sees only some modalities.

The model is not retrained. Training hides modalities at random, so it can predict without one; a model retrained
without it could make up for more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from viral.datasets.streams import Batch, Stream
from viral.evaluation.bootstrap.metrics import Floats
from viral.evaluation.labels import Labels
from viral.evaluation.quick_bootstrap import RESAMPLES, AuthorDraws
from viral.evaluation.report.sections import Ablation, AblationResult
from viral.models.predictions import PredictionBatch

MAX_EXHAUSTIVE = 4  # modalities: every subset of four is 14 scorings, of five already 30


@dataclass(frozen=True)
class MaskedPredictions:
    """Predictions from the shown modalities only; each (rows,), NaN for posts that have none of them."""

    shown: tuple[str, ...]
    probability: Floats
    score: Floats


def modality_subsets(modalities: Sequence[str]) -> tuple[tuple[str, ...], ...]:
    """Subsets to show: all but one, one alone and, up to `MAX_EXHAUSTIVE` modalities, all others; largest first."""
    count = len(modalities)
    sizes = range(count - 1, 0, -1) if count <= MAX_EXHAUSTIVE else (count - 1, 1)
    return tuple(subset for size in sizes for subset in combinations(modalities, size))


def mask_modalities(batch: Batch, streams: Sequence[Stream], shown: Sequence[str]) -> Batch:
    """Hide all other modalities of the posts; a post may be left with nothing."""
    visible = np.array([stream.modality in shown for stream in streams])
    hidden = {stream.name for stream, is_visible in zip(streams, visible, strict=True) if not is_visible}
    # Hidden streams look like absent ones: zeros, and not present.
    vectors = {name: np.zeros_like(column) if name in hidden else column for name, column in batch.vectors.items()}
    return Batch(vectors, batch.present & visible)


def ablate(
    labels: Labels,
    whole: PredictionBatch,
    masked: Sequence[MaskedPredictions],
    average: tuple[float, float],
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Ablation:
    """ROC-AUC, Spearman and RMSE of each subset, with paired intervals of the difference to the whole.

    Args:
        labels: the posts that were scored again.
        whole: the model's predictions from all modalities.
        masked: its predictions from each subset.
        average: share of viral posts and mean score of the training posts, the prediction for posts with no modality
            left. Leaving these posts out would compare different posts.
        resamples: draws of whole authors, at most `quick_bootstrap.RESAMPLES`.
        seed: seed of the draws.
    """
    draws = AuthorDraws.from_authors(labels.authors, resamples=resamples, seed=seed)
    reference, *results = draws.evaluate(labels, [whole, *(_filled(subset, average) for subset in masked)])
    subsets = [
        AblationResult(
            shown=subset.shown,
            available=float(np.isfinite(subset.score).mean()),
            metrics=draws.estimates(*result),
            differences=draws.differences(result, reference),
        )
        for subset, result in zip(masked, results, strict=True)
    ]
    return Ablation(
        modalities=tuple(dict.fromkeys(name for subset in masked for name in subset.shown)),
        posts=len(labels.y),
        resampled_posts=len(draws.rows),
        resamples=draws.bootstrap.resamples,
        whole=draws.estimates(*reference),
        subsets=tuple(subsets),
    )


def _filled(masked: MaskedPredictions, average: tuple[float, float]) -> PredictionBatch:
    available = np.isfinite(masked.score)
    probability, score = (
        np.where(available, column, mean)
        for column, mean in zip((masked.probability, masked.score), average, strict=True)
    )
    return PredictionBatch(probability, score)
