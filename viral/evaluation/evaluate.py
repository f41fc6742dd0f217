"""From arrays of predictions and outcomes to the report. Reads and writes nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from viral.errors import TableError
from viral.evaluation.baselines.baselines import BASELINES, Predicted, Unavailable
from viral.evaluation.bootstrap import metrics
from viral.evaluation.bootstrap.by_author import AuthorBootstrap, Replicates
from viral.evaluation.bootstrap.pairs import sampled
from viral.evaluation.bootstrap.replicates import replicates
from viral.evaluation.bootstrap.settings import Settings
from viral.evaluation.bootstrap.system import Judged, Outcome
from viral.evaluation.curves import plots
from viral.evaluation.report import report

Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]
Measure = Callable[[Rows], metrics.Figures]

_EXAMPLES = 6
_LEAST_AUTHORS = 5
"""With five posts or more in the test, for a figure within authors."""


@dataclass(frozen=True)
class Truth:
    """The test posts and what became of them; each (rows,). `authors` are the codes of `splits.author_codes`."""

    post_ids: Sequence[str]
    authors: npt.NDArray[np.int64]
    y: Floats
    is_viral: npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Forecast:
    """What the model says of the test posts; each (rows,). `low` and `high` are the ends of its intervals."""

    probability: Floats
    score: Floats
    low: Floats | None = None
    high: Floats | None = None


@dataclass(frozen=True)
class Details:
    """What else is known of the test posts, each optional.

    Attributes:
        shares: for each modality its share in each prediction, (rows,), NaN where the post has none of it.
        captions: by post id.
        images: by post id, a data URI of a frame.
    """

    shares: Mapping[str, Floats] | None = None
    captions: Mapping[str, str] | None = None
    images: Mapping[str, str] | None = None


def evaluate(
    truth: Truth,
    model: Forecast,
    baselines: Mapping[str, Predicted | Unavailable],
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
    """Judges a model beside its baselines, on the test posts.

    Args:
        truth: what became of the posts.
        model: what the model said.
        baselines: what each baseline said, or why it could not.
        about: what is judged.
        split: how the posts were divided.
        details: for the shares of the modalities and the examples.
        threshold: a post is called viral from this probability on.
        level: of the model's intervals and of the bootstrap's.
        k: length of the list that NDCG@K and recall@K look at; None: a tenth of the posts.
        quartile: the 75th percentile of the training posts' scores; None: no accuracy there.
        log_scale: whether the score is the logarithm of a count, of which an error may be told as a share.
        resamples: draws of the bootstrap, at least one; with a thousand, nine systems take 13 s of processor time on
            10,000 posts and 42 s on 100,000 (`tests/bench/scorecard.py`).
        seed: of the bootstrap.

    Raises:
        TableError: no posts, columns of different lengths, or values that cannot be predictions.
    """
    _check(truth, model, baselines)
    details = details or Details()
    compared = sampled(truth.authors, seed)
    settings = Settings(
        threshold=threshold,
        level=level,
        k=k or max(1, round(len(truth.y) / 10)),
        quartile=quartile,
        log_scale=log_scale,
        resamples=resamples,
        seed=seed,
        compared_posts=len(compared),
        compared_authors=len(np.unique(truth.authors[compared])),
    )
    bootstrap = AuthorBootstrap(truth.authors, resamples, seed, level)
    forecasts = _forecasts(model, baselines)
    figures = {name: _figures(truth, forecast, settings) for name, forecast in forecasts.items()}
    values = {name: measure(np.arange(len(truth.y))) for name, measure in figures.items()}
    judged = {name: _judged(truth, forecast) for name, forecast in forecasts.items()}
    drawn = replicates(bootstrap, Outcome(truth.y, truth.is_viral), judged, settings, compared)
    best, worst = _examples(truth, model, details)
    return report.Report(
        about=about,
        split=split,
        settings=settings,
        systems=tuple(_systems(bootstrap, values, drawn, baselines)),
        differences=tuple(_differences(bootstrap, values, drawn)),
        plots=plots(truth.y, truth.is_viral, model.score, model.probability, threshold, seed),
        modalities=_modalities(details),
        best=best,
        worst=worst,
    )


def _check(truth: Truth, model: Forecast, baselines: Mapping[str, Predicted | Unavailable]) -> None:
    count = len(truth.y)
    if not count:
        raise TableError("no test posts to judge the model on: choose a split that leaves some")
    columns = {f"truth.{name}": getattr(truth, name) for name in ("post_ids", "authors", "is_viral", "y")}
    columns |= {f"model.{name}": getattr(model, name) for name in ("probability", "score", "low", "high")}
    for name, answer in baselines.items():
        if isinstance(answer, Predicted):
            columns |= {f"{name}.probability": answer.probability, f"{name}.score": answer.score}
    for name, column in columns.items():
        if column is None:
            continue
        if len(column) != count:
            raise TableError(f"{name} has {len(column)} rows for {count} test posts: pass one for each, in one order")
        if name == "truth.post_ids":
            continue
        if bad := int((~np.isfinite(column)).sum()):
            raise TableError(f"{name} has {bad} values that are no numbers: leave those posts out, or predict them")
        if name.endswith("probability") and (column.min() < 0 or column.max() > 1):
            raise TableError(f"{name} goes from {column.min():g} to {column.max():g}: probabilities are 0 to 1")


def _forecasts(model: Forecast, baselines: Mapping[str, Predicted | Unavailable]) -> dict[str, Forecast]:
    """The model's, and those of the baselines that said something."""
    said = {name: answer for name, answer in baselines.items() if isinstance(answer, Predicted)}
    return {report.MODEL: model} | {name: Forecast(each.probability, each.score) for name, each in said.items()}


def _tops(truth: Truth, forecast: Forecast) -> tuple[metrics.Bools, metrics.Bools] | None:
    """The top 20 % of each author, by what came and by what was said; None where too few authors have one."""
    came, said = (metrics.top(values, truth.authors) for values in (truth.y, forecast.score))
    enough = len(np.unique(truth.authors[came])) >= _LEAST_AUTHORS and np.ptp(forecast.score) > 0
    return (came, said) if enough else None


def _judged(truth: Truth, forecast: Forecast) -> Judged:
    return Judged(forecast.probability, forecast.score, forecast.low, forecast.high, _tops(truth, forecast))


def _figures(truth: Truth, forecast: Forecast, settings: Settings) -> Measure:
    """All figures of one system as a function of rows."""
    tops = _tops(truth, forecast)

    def measure(rows: Rows) -> metrics.Figures:
        y, viral, score = truth.y[rows], truth.is_viral[rows], forecast.score[rows]
        first = max(1, round(settings.k * len(rows) / len(truth.y)))
        within = metrics.top_precision(tops[0][rows], tops[1][rows]) if tops else None
        figures = metrics.classification(viral, forecast.probability[rows], settings.threshold)
        figures |= metrics.regression(y, score, log_scale=settings.log_scale)
        figures |= metrics.ranking(y, score, viral, first)
        figures["top20_precision_within_author"] = within
        if settings.quartile is not None:
            figures |= metrics.above(y, score, settings.quartile)
        if forecast.low is not None and forecast.high is not None:
            figures |= metrics.intervals(y, forecast.low[rows], forecast.high[rows], settings.level)
        return figures

    return measure


def _systems(
    bootstrap: AuthorBootstrap,
    values: Mapping[str, metrics.Figures],
    drawn: Mapping[str, Replicates],
    baselines: Mapping[str, Predicted | Unavailable],
) -> list[report.System]:
    systems = []
    for name in (report.MODEL, *baselines):
        doc = (BASELINES[name].__doc__ or "") if name in BASELINES else ""
        answer = baselines.get(name)
        if isinstance(answer, Unavailable):
            systems.append(report.System(name=name, describes=doc, unavailable=answer.reason))
        else:
            figures = {key: bootstrap.estimate(value, drawn[name][key]) for key, value in values[name].items()}
            systems.append(report.System(name=name, describes=doc, figures=figures))
    return systems


def _differences(
    bootstrap: AuthorBootstrap, values: Mapping[str, metrics.Figures], drawn: Mapping[str, Replicates]
) -> list[report.Difference]:
    model = values[report.MODEL]
    differences = []
    for name in values:
        if name != report.MODEL:
            shared = {key: (model[key], value) for key, value in values[name].items()}
            figures = {
                key: bootstrap.estimate(
                    None if ours is None or theirs is None else ours - theirs,
                    drawn[report.MODEL][key] - drawn[name][key],
                )
                for key, (ours, theirs) in shared.items()
            }
            differences.append(report.Difference(baseline=name, figures=figures))
    return differences


def _modalities(details: Details) -> tuple[report.Modality, ...]:
    modalities = []
    for name, column in (details.shares or {}).items():
        known = column[np.isfinite(column)]
        share = float(known.mean()) if len(known) else None
        modalities.append(report.Modality(name=name, present=len(known) / max(1, len(column)), share=share))
    return tuple(sorted(modalities, key=lambda modality: -(modality.share or 0)))


def _examples(
    truth: Truth, model: Forecast, details: Details
) -> tuple[tuple[report.Example, ...], tuple[report.Example, ...]]:
    """The predictions nearest to and farthest from what came; no post is in both."""
    order = np.lexsort((np.asarray(truth.post_ids), np.abs(model.score - truth.y)))
    count = min(_EXAMPLES, len(order) // 2)
    best, worst = order[:count], order[::-1][:count]
    return tuple(_example(truth, model, details, at) for at in best), tuple(
        _example(truth, model, details, at) for at in worst
    )


def _example(truth: Truth, model: Forecast, details: Details, at: int) -> report.Example:
    post = str(truth.post_ids[at])
    return report.Example(
        post_id=post,
        probability=float(model.probability[at]),
        score=float(model.score[at]),
        actual=float(truth.y[at]),
        is_viral=bool(truth.is_viral[at]),
        low=None if model.low is None else float(model.low[at]),
        high=None if model.high is None else float(model.high[at]),
        caption=(details.captions or {}).get(post),
        image=(details.images or {}).get(post),
    )
