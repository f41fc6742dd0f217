"""Ablation: metrics of a model with some modalities hidden, without retraining.

Training hides modalities at random, so a model can predict without some. A retrained model might lose less.
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

MAX_EXHAUSTIVE = 4  # modalities: four have 14 subsets to score, five already 30


@dataclass(frozen=True)
class MaskedPredictions:
    """Predictions from the shown modalities only; each (rows,), NaN for posts without any of them."""

    shown: tuple[str, ...]
    probability: Floats
    score: Floats


def modality_subsets(modalities: Sequence[str]) -> tuple[tuple[str, ...], ...]:
    """Return the subsets to evaluate, largest first: all of them, or of many modalities all but one and one alone."""
    count = len(modalities)
    # Neither all modalities, which is the model itself, nor none.
    sizes = range(count - 1, 0, -1) if count <= MAX_EXHAUSTIVE else (count - 1, 1)
    return tuple(subset for size in sizes for subset in combinations(modalities, size))


def mask_modalities(batch: Batch, streams: Sequence[Stream], shown: Sequence[str]) -> Batch:
    """Hide all modalities of the posts except `shown`; posts may have none left."""
    visible = np.array([stream.modality in shown for stream in streams])
    hidden = {stream.name for stream, is_visible in zip(streams, visible, strict=True) if not is_visible}
    # A hidden stream equals an absent one: zeros, and not present.
    vectors = {name: np.zeros_like(column) if name in hidden else column for name, column in batch.vectors.items()}
    return Batch(vectors, batch.present & visible)


def ablate(
    labels: Labels,
    full: PredictionBatch,
    masked: Sequence[MaskedPredictions],
    average: tuple[float, float],
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Ablation:
    """Return ROC-AUC, Spearman and RMSE of each subset, and their differences to all modalities with paired intervals.

    Args:
        labels: the scored posts.
        full: predictions from all modalities.
        masked: predictions from each subset.
        average: share of viral posts and mean score of the training posts, predicted for posts with no modality left.
            Without these posts the subsets would be compared on different posts.
        resamples: draws of whole authors, at most `quick_bootstrap.RESAMPLES`.
        seed: seed of the draws.
    """
    draws = AuthorDraws.from_authors(labels.authors, resamples=resamples, seed=seed)
    reference, *results = draws.evaluate(labels, [full, *(_fill(subset, average) for subset in masked)])
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


def _fill(masked: MaskedPredictions, average: tuple[float, float]) -> PredictionBatch:
    # A post without any shown modality gets the prediction of a model that knows nothing.
    available = np.isfinite(masked.score)
    probability, score = (
        np.where(available, column, mean)
        for column, mean in zip((masked.probability, masked.score), average, strict=True)
    )
    return PredictionBatch(probability, score)
