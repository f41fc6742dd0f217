"""What a model is worth when it is shown some modalities only.

The model stays as it is. It was trained with modalities hidden at random, so that it knows what to do without one; a
model trained anew without it could make up for more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from viral.datasets.streams import Batch, Stream
from viral.evaluation.bootstrap.metrics import Floats
from viral.evaluation.evaluate import Forecast, Truth
from viral.evaluation.quick_bootstrap import RESAMPLES, Draws
from viral.evaluation.report.sections import Ablation, Shown

FEW = 4
"""Up to so many modalities every subset is scored: fourteen beside the whole."""


@dataclass(frozen=True)
class Masked:
    """What a model says when it is shown some modalities; each (rows,), NaN for posts that have none of them."""

    shown: tuple[str, ...]
    probability: Floats
    score: Floats


def subsets(modalities: Sequence[str]) -> tuple[tuple[str, ...], ...]:
    """What to show: all but one modality, one alone, and where they are few every other subset, largest first."""
    count = len(modalities)
    sizes = range(count - 1, 0, -1) if count <= FEW else (count - 1, 1)
    return tuple(chosen for size in sizes for chosen in combinations(modalities, size))


def masked(batch: Batch, streams: Sequence[Stream], shown: Sequence[str]) -> Batch:
    """Posts as if they had nothing but these modalities; a post may be left with nothing."""
    kept = np.array([stream.modality in shown for stream in streams])
    hidden = {stream.name for stream, keep in zip(streams, kept, strict=True) if not keep}
    vectors = {name: np.zeros_like(each) if name in hidden else each for name, each in batch.vectors.items()}
    return Batch(vectors, batch.present & kept)


def ablate(
    truth: Truth,
    whole: Forecast,
    said: Sequence[Masked],
    average: tuple[float, float],
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Ablation:
    """ROC-AUC, Spearman and RMSE of each subset, with paired intervals of the difference to the whole.

    Args:
        truth: the posts that were scored again.
        whole: what the model says of them when it is shown everything.
        said: what it says when it is shown less.
        average: the share of viral posts and the mean score of the training posts, which stand in where nothing of a
            post is left: leaving such posts out would compare other posts.
        resamples: draws of whole authors; `brief.RESAMPLES` at most.
        seed: of the draws.
    """
    draws = Draws.of(truth.authors, resamples=resamples, seed=seed)
    first, *others = draws.judged(truth, [whole, *(_filled(one, average) for one in said)])
    found = [
        Shown(
            shown=one.shown,
            left=float(np.isfinite(one.score).mean()),
            figures=draws.estimates(*judged),
            differences=draws.differences(judged, first),
        )
        for one, judged in zip(said, others, strict=True)
    ]
    return Ablation(
        modalities=tuple(dict.fromkeys(name for one in said for name in one.shown)),
        posts=len(truth.y),
        resampled_posts=len(draws.rows),
        resamples=draws.bootstrap.resamples,
        whole=draws.estimates(*first),
        subsets=tuple(found),
    )


def _filled(said: Masked, average: tuple[float, float]) -> Forecast:
    there = np.isfinite(said.score)
    return Forecast(np.where(there, said.probability, average[0]), np.where(there, said.score, average[1]))
