"""All metrics of all systems in each resample of authors.

Rows are weighted instead of copied: this takes seconds, calling `metrics` on the rows of each resample minutes.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np

from viral.evaluation.bootstrap.by_author import AuthorBootstrap, Replicates
from viral.evaluation.bootstrap.metrics import fixed_tie_breaker
from viral.evaluation.bootstrap.order import Floats, Order, Rows
from viral.evaluation.bootstrap.pairs import METRICS, Pairs, untied_pairs
from viral.evaluation.bootstrap.ranks import RankedLabels
from viral.evaluation.bootstrap.settings import EvaluationSettings
from viral.evaluation.bootstrap.system import AuthorTops, WeightedSystem, block_metrics
from viral.evaluation.labels import Labels
from viral.models.predictions import PredictionBatch

_BLOCK = 25  # resamples per task: enough for one matrix product, few enough that all threads end together
_BLOCK_NUMBERS = 4_000_000  # counts per task: at most 32 MB of float64 in a thread
_THREADS = 4  # numpy releases the interpreter lock for most of the work, but not for all of it


def replicates(
    bootstrap: AuthorBootstrap,
    labels: Labels,
    systems: Mapping[str, PredictionBatch],
    settings: EvaluationSettings,
    pair_rows: Rows,
    author_tops: Mapping[str, AuthorTops | None] | None = None,
) -> dict[str, Replicates]:
    """Compute every metric of every system in each resample, (resamples,), NaN where undefined.

    All systems use the same draws of authors, so differences between systems are paired.

    Args:
        bootstrap: draws the authors of the posts.
        labels: the posts.
        systems: predictions of each system.
        settings: threshold, level, K and quartile of the metrics.
        pair_rows: rows for Kendall and pairwise accuracy, from `pairs.sample_rows`.
        author_tops: of each system; without them the metric within authors is undefined.
    """
    from threadpoolctl import threadpool_limits

    ranked, weighted = _sort_once(bootstrap, labels, systems, settings, author_tops or {})

    def block(resamples: range) -> dict[str, Replicates]:
        """Metrics of each system in some of the resamples."""
        return block_metrics(weighted, ranked, [bootstrap.counts(resample) for resample in resamples])

    # With BLAS threads, which spin while they wait for each other, a busy machine takes ten times as long.
    with threadpool_limits(1, "blas"), ThreadPoolExecutor(min(_THREADS, os.cpu_count() or 1)) as threads:
        blocks = list(threads.map(block, _blocks(bootstrap)))
        scores = {name: batch.score for name, batch in systems.items()}
        pairs = _pairs(threads, bootstrap, labels, scores, pair_rows)
    return {
        name: {metric: np.concatenate([block[name][metric] for block in blocks]) for metric in blocks[0][name]}
        | pairs[name]
        for name in systems
    }


def _sort_once(
    bootstrap: AuthorBootstrap,
    labels: Labels,
    systems: Mapping[str, PredictionBatch],
    settings: EvaluationSettings,
    author_tops: Mapping[str, AuthorTops | None],
) -> tuple[RankedLabels, dict[str, WeightedSystem]]:
    """Sort labels and predictions, and sum columns per author: what all resamples share."""
    index, tie_breaker = bootstrap.author_index, fixed_tie_breaker(len(labels.y))
    order = Order.from_values(labels.y, index, tie_breaker)
    ranked = RankedLabels(order, labels.is_viral.astype(np.float64), settings.k)
    weighted = {
        name: WeightedSystem.from_predictions(
            labels, batch, ranked, index, tie_breaker, settings, author_tops.get(name)
        )
        for name, batch in systems.items()
    }
    return ranked, weighted


def _blocks(bootstrap: AuthorBootstrap) -> list[range]:
    size = max(1, min(_BLOCK, _BLOCK_NUMBERS // bootstrap.num_authors))
    return [range(start, min(start + size, bootstrap.resamples)) for start in range(0, bootstrap.resamples, size)]


def _pairs(
    threads: ThreadPoolExecutor, bootstrap: AuthorBootstrap, labels: Labels, scores: Mapping[str, Floats], rows: Rows
) -> dict[str, Replicates]:
    # Callers that do not compare pairs pass no rows.
    if not len(rows):
        return {name: dict.fromkeys(METRICS, np.full(bootstrap.resamples, np.nan)) for name in scores}
    sample = replace(bootstrap, authors=bootstrap.authors[rows])
    counts = np.stack([sample.counts(resample) for resample in range(sample.resamples)])
    y, index = labels.y[rows], sample.author_index
    untied = untied_pairs(Order.from_values(y, index, rows), counts)
    metrics = threads.map(
        lambda score: Pairs.from_scores(y, score[rows], index, untied).metrics(counts), scores.values()
    )
    return dict(zip(scores, metrics, strict=True))
