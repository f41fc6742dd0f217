"""All figures of all systems in each resample of authors, without a copy of a row.

`metrics` would need the rows of each resample and a library's call for each figure: minutes where this takes seconds.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np

from viral.evaluation.bootstrap.by_author import AuthorBootstrap, Replicates
from viral.evaluation.bootstrap.metrics import fixed_lots
from viral.evaluation.bootstrap.order import Floats, Order, Rows
from viral.evaluation.bootstrap.pairs import FIGURES, Pairs, pairs_apart
from viral.evaluation.bootstrap.ranks import RankedTruth
from viral.evaluation.bootstrap.settings import Settings
from viral.evaluation.bootstrap.system import Judged, Outcome, WeightedSystem, figures_of_block

_BLOCK = 25
"""Resamples at a time: enough for one matrix product, few enough that the threads end together."""
_BLOCK_NUMBERS = 4_000_000
"""How often some resamples hold each author: at most 32 MB at a time in a thread."""
_THREADS = 4
"""At most: numpy leaves Python to the others while it counts, but not all of the time."""


def replicates(
    authors: AuthorBootstrap, outcome: Outcome, systems: Mapping[str, Judged], settings: Settings, compared: Rows
) -> dict[str, Replicates]:
    """Every figure of every system in each resample, (resamples,), NaN where it was undefined.

    All systems are drawn the same authors, so that the difference of two is paired.

    Args:
        authors: who wrote the posts, and how often they are drawn.
        outcome: what became of the posts.
        systems: what each system said of them.
        settings: the threshold, the level, K and the quartile of the figures.
        compared: the rows that Kendall and pairwise accuracy come from, of whole authors: `weighted_pairs.sampled`.
    """
    from threadpoolctl import threadpool_limits

    lots = fixed_lots(len(outcome.y))
    truth = RankedTruth(Order.of(outcome.y, authors.places, lots), outcome.viral.astype(np.float64), settings.k)
    ready = {
        name: WeightedSystem.of(outcome, judged, truth, authors.places, lots, settings)
        for name, judged in systems.items()
    }

    def block(resamples: range) -> dict[str, Replicates]:
        return figures_of_block(ready, truth, [authors.counts(each) for each in resamples])

    # The threads of BLAS would wait for each other, spinning: ten times the time on a busy machine.
    with threadpool_limits(1, "blas"), ThreadPoolExecutor(min(_THREADS, os.cpu_count() or 1)) as threads:
        blocks = list(threads.map(block, _blocks(authors)))
        scores = {name: judged.score for name, judged in systems.items()}
        pairs = _pairs(threads, authors, outcome, scores, compared)
    return {name: _joined([each[name] for each in blocks]) | pairs[name] for name in systems}


def _blocks(authors: AuthorBootstrap) -> list[range]:
    size = max(1, min(_BLOCK, _BLOCK_NUMBERS // authors.people))
    return [range(at, min(at + size, authors.resamples)) for at in range(0, authors.resamples, size)]


def _pairs(
    threads: ThreadPoolExecutor,
    authors: AuthorBootstrap,
    outcome: Outcome,
    scores: Mapping[str, Floats],
    rows: Rows,
) -> dict[str, Replicates]:
    if not len(rows):
        return {name: dict.fromkeys(FIGURES, np.full(authors.resamples, np.nan)) for name in scores}
    some = replace(authors, authors=authors.authors[rows])
    counts = np.stack([some.counts(each) for each in range(some.resamples)])
    y = outcome.y[rows]
    apart = pairs_apart(Order.of(y, some.places, rows), counts)
    found = threads.map(lambda score: Pairs.of(y, score[rows], some.places, apart).figures(counts), scores.values())
    return dict(zip(scores, found, strict=True))


def _joined(blocks: Sequence[Replicates]) -> Replicates:
    return {name: np.concatenate([block[name] for block in blocks]) for name in blocks[0]}
