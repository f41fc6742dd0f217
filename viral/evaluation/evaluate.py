"""Evaluate predictions against labels: from arrays to a report, without reading or writing files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from viral.errors import TableError
from viral.evaluation.baselines.baselines import BASELINES, Unavailable
from viral.evaluation.bootstrap import metrics
from viral.evaluation.bootstrap.by_author import AuthorBootstrap, Floats, Replicates, subtract
from viral.evaluation.bootstrap.order import Rows
from viral.evaluation.bootstrap.pairs import sample_rows
from viral.evaluation.bootstrap.replicates import replicates
from viral.evaluation.bootstrap.settings import EvaluationSettings
from viral.evaluation.bootstrap.system import AuthorTops
from viral.evaluation.curves import plots
from viral.evaluation.labels import Labels
from viral.evaluation.report import report
from viral.models.predictions import PredictionBatch

Baselines = Mapping[str, PredictionBatch | Unavailable]

_EXAMPLES = 6  # of the best and of the worst predictions: two rows of cards on the page
_MIN_AUTHORS = 5  # with at least five test posts each: fewer authors say little about the ranking within authors


@dataclass(frozen=True)
class Details:
    """Optional facts about the test posts, for the page.

    Attributes:
        contributions: share of each modality in each prediction, (rows,), NaN where the post lacks it.
        captions: captions by post id.
        images: one frame as a data URI, by post id.
    """

    contributions: Mapping[str, Floats] | None = None
    captions: Mapping[str, str] | None = None
    images: Mapping[str, str] | None = None


def evaluate(
    labels: Labels,
    model: PredictionBatch,
    baselines: Baselines,
    *,
    about: report.About,
    split: report.Split,
    details: Details | None = None,
    threshold: float = 0.5,
    level: float = 0.9,
    k: int | None = None,
    quartile: float | None = None,
    log_scale: bool = False,
    resamples: int = 1000,
    seed: int = 0,
) -> report.Report:
    """Evaluate a model and its baselines on the test posts.

    Args:
        labels: the test posts.
        model: predictions of the model, with or without intervals.
        baselines: predictions of each baseline, or why it has none.
        about: description of the model and the posts.
        split: how the posts were split.
        details: facts for the modalities and examples of the page.
        threshold: lowest probability at which a post is called viral.
        level: level of the model's intervals and of the bootstrap intervals.
        k: length of the list for NDCG@K and recall@K; None: a tenth of the posts.
        quartile: 75th percentile of the training posts' scores; None: without accuracy at the 75th percentile.
        log_scale: whether the score is the logarithm of a count; only then MAPE is defined.
        resamples: number of bootstrap draws, at least one; with 1,000, nine systems take 13 s of processor time on
            10,000 posts and 42 s on 100,000 (`tests/bench/scorecard.py`).
        seed: seed of the bootstrap.

    Raises:
        TableError: no posts, columns of different lengths, or invalid predictions.
    """
    _check(labels, model, baselines)
    pair_rows = sample_rows(labels.authors, seed)
    settings = EvaluationSettings(
        threshold=threshold,
        level=level,
        k=k or max(1, round(len(labels.y) / 10)),
        quartile=quartile,
        log_scale=log_scale,
        resamples=resamples,
        seed=seed,
        compared_posts=len(pair_rows),
        compared_authors=len(np.unique(labels.authors[pair_rows])),
    )
    systems, differences = _compare(labels, model, baselines, settings, pair_rows)
    facts = _facts(labels, model, settings, details or Details())
    return report.Report(
        about=about, split=split, settings=settings, systems=tuple(systems), differences=tuple(differences), **facts
    )


def _facts(labels: Labels, model: PredictionBatch, settings: EvaluationSettings, details: Details) -> dict[str, Any]:
    """Parts of the report that concern the model alone: plots, modalities and examples."""
    best, worst = _examples(labels, model, details)
    return {
        "plots": plots(labels.y, labels.is_viral, model.score, model.probability, settings.threshold, settings.seed),
        "modalities": _modalities(details),
        "best": best,
        "worst": worst,
    }


def _compare(
    labels: Labels, model: PredictionBatch, baselines: Baselines, settings: EvaluationSettings, pair_rows: Rows
) -> tuple[list[report.System], list[report.Difference]]:
    """Each system with its intervals, and its difference from the model, over the same resamples of authors."""
    bootstrap = AuthorBootstrap(labels.authors, settings.resamples, settings.seed, settings.level)
    available = {name: batch for name, batch in baselines.items() if isinstance(batch, PredictionBatch)}
    systems = {report.MODEL: model} | available
    tops = {name: _author_tops(labels, batch) for name, batch in systems.items()}
    values = {name: _metrics(labels, batch, tops[name], settings) for name, batch in systems.items()}
    resampled = replicates(bootstrap, labels, systems, settings, pair_rows, tops)
    return _systems(bootstrap, values, resampled, baselines), _differences(bootstrap, values, resampled)


def _check(labels: Labels, model: PredictionBatch, baselines: Baselines) -> None:
    count = len(labels.y)
    if not count:
        raise TableError("no test posts to evaluate the model on: choose a split with test posts")
    columns = {f"labels.{name}": getattr(labels, name) for name in ("post_ids", "authors", "is_viral", "y")}
    columns |= {f"model.{name}": getattr(model, name) for name in ("probability", "score", "low", "high")}
    for name, baseline in baselines.items():
        if isinstance(baseline, PredictionBatch):
            columns |= {f"{name}.probability": baseline.probability, f"{name}.score": baseline.score}
    for name, column in columns.items():
        if column is None:
            continue
        if len(column) != count:
            raise TableError(f"{name} has {len(column)} rows for {count} test posts: pass one per post, in one order")
        # Identifiers are texts: only their number is checked.
        if name == "labels.post_ids":
            continue
        if bad := int((~np.isfinite(column)).sum()):
            raise TableError(f"{name} has {bad} NaN or infinite values: leave these posts out, or predict them")
        if name.endswith("probability") and (column.min() < 0 or column.max() > 1):
            raise TableError(f"{name} ranges from {column.min():g} to {column.max():g}: probabilities are 0 to 1")


def _author_tops(labels: Labels, batch: PredictionBatch) -> AuthorTops | None:
    """The top 20 % of each author, by label and by predicted score; None if too few authors have one."""
    actual, predicted = (metrics.top(values, labels.authors) for values in (labels.y, batch.score))
    enough = len(np.unique(labels.authors[actual])) >= _MIN_AUTHORS and np.ptp(batch.score) > 0
    return (actual, predicted) if enough else None


def _metrics(
    labels: Labels, batch: PredictionBatch, tops: AuthorTops | None, settings: EvaluationSettings
) -> metrics.Metrics:
    """All metrics of one system on all posts."""
    y, score = labels.y, batch.score
    values = metrics.classification(labels.is_viral, batch.probability, settings.threshold)
    values |= metrics.regression(y, score, log_scale=settings.log_scale)
    values |= metrics.ranking(y, score, labels.is_viral, settings.k)
    values["top20_precision_within_author"] = metrics.top_precision(*tops) if tops else None
    if settings.quartile is not None:
        values |= metrics.accuracy_above(y, score, settings.quartile)
    if batch.low is not None and batch.high is not None:
        values |= metrics.intervals(y, batch.low, batch.high, settings.level)
    return values


def _systems(
    bootstrap: AuthorBootstrap,
    values: Mapping[str, metrics.Metrics],
    resampled: Mapping[str, Replicates],
    baselines: Baselines,
) -> list[report.System]:
    systems = []
    # Also baselines that are unavailable, with the reason: a silent gap would look like an oversight.
    for name in (report.MODEL, *baselines):
        doc = (BASELINES[name].__doc__ or "") if name in BASELINES else ""
        baseline = baselines.get(name)
        if isinstance(baseline, Unavailable):
            systems.append(report.System(name=name, describes=doc, unavailable=baseline.reason))
        else:
            estimates = {key: bootstrap.estimate(value, resampled[name][key]) for key, value in values[name].items()}
            systems.append(report.System(name=name, describes=doc, metrics=estimates))
    return systems


def _differences(
    bootstrap: AuthorBootstrap, values: Mapping[str, metrics.Metrics], resampled: Mapping[str, Replicates]
) -> list[report.Difference]:
    model, model_resampled = values[report.MODEL], resampled[report.MODEL]
    differences = []
    for name in list(values)[1:]:  # the model comes first
        estimates = {
            # Both in the same draws: what makes a draw easy or hard cancels out.
            key: bootstrap.estimate(subtract(model[key], value), model_resampled[key] - resampled[name][key])
            for key, value in values[name].items()
        }
        differences.append(report.Difference(baseline=name, metrics=estimates))
    return differences


def _modalities(details: Details) -> tuple[report.Modality, ...]:
    modalities = []
    for name, column in (details.contributions or {}).items():
        present = column[np.isfinite(column)]
        share = float(present.mean()) if len(present) else None
        modalities.append(report.Modality(name=name, present=len(present) / max(1, len(column)), share=share))
    return tuple(sorted(modalities, key=lambda modality: -(modality.share or 0)))


def _examples(
    labels: Labels, model: PredictionBatch, details: Details
) -> tuple[tuple[report.Example, ...], tuple[report.Example, ...]]:
    """The predictions with the smallest and the largest errors; no post is in both."""
    # Equal errors by identifier, so that the page does not depend on the order of the rows.
    order = np.lexsort((np.asarray(labels.post_ids), np.abs(model.score - labels.y)))
    count = min(_EXAMPLES, len(order) // 2)
    ends = order[:count], order[::-1][:count]
    best, worst = (tuple(_example(labels, model, details, int(row)) for row in rows) for rows in ends)
    return best, worst


def _example(labels: Labels, model: PredictionBatch, details: Details, row: int) -> report.Example:
    post = str(labels.post_ids[row])
    return report.Example(
        post_id=post,
        probability=float(model.probability[row]),
        score=float(model.score[row]),
        actual=float(labels.y[row]),
        is_viral=bool(labels.is_viral[row]),
        low=None if model.low is None else float(model.low[row]),
        high=None if model.high is None else float(model.high[row]),
        caption=(details.captions or {}).get(post),
        image=(details.images or {}).get(post),
    )
