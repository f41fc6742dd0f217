"""`viral evaluate`: evaluate a model and baselines on its test split; writes the scorecard as JSON and HTML."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial

import click
import numpy as np
import pyarrow as pa

from jobs import audit
from jobs.evaluating.about import build_about, build_split
from jobs.evaluating.baseline_rows import baseline_columns
from jobs.evaluating.rows import baseline_inputs, contributions, gather, post_ids
from jobs.evaluating.sections import with_frames, with_sections
from jobs.runtime.session import session
from jobs.training.calibrate import calibrate
from jobs.training.labelled import training_data
from viral.console.commands import execute
from viral.console.options import ray_options, root_options
from viral.console.output import print_summary
from viral.errors import TableError
from viral.evaluation import test_predictions
from viral.evaluation.baselines.baselines import BASELINES, fit_predict
from viral.evaluation.bootstrap.by_author import Estimate
from viral.evaluation.evaluate import Details, evaluate
from viral.evaluation.labels import Labels
from viral.evaluation.report.page import render
from viral.evaluation.report.report import MODEL, Report
from viral.evaluation.report.summary import baselines_ahead, few_posts_warnings
from viral.evaluation.splits import author_codes
from viral.labels.registry import definition
from viral.models.predictions import PredictionBatch
from viral.registry.registry import ModelVersion, Registry
from viral.scoring.scorer import CALIBRATION, Scorer
from viral.storage.store import Store
from viral.tables.run_log import record_run

SUMMARY_METRICS = ("roc_auc", "spearman", "rmse", "accuracy_at_75", "coverage")


@dataclass
class EvaluateSummary:
    """URIs of the scorecard, main metrics of the model and the baselines, and what the audit could not check.

    Attributes:
        figures: metrics of each system, with their intervals.
        unavailable: why a baseline has no figures.
        level: of the intervals.
        ahead: a sentence that names the baselines ahead of the model; empty if none is.
    """

    model: str
    html: str
    json: str
    test_posts: int
    figures: dict[str, dict[str, Estimate]] = field(default_factory=dict)
    unavailable: dict[str, str] = field(default_factory=dict)
    unaudited: list[str] = field(default_factory=list)
    level: float = 0.9
    warnings: list[str] = field(default_factory=list)
    ahead: list[str] = field(default_factory=list)

    def lines(self) -> list[str]:
        """Show it as text: the figures as a table, with the intervals of the model."""
        width = max(map(len, (*self.figures, *self.unavailable)), default=0)
        titles = " ".join(f"{name:>16}" for name in SUMMARY_METRICS)
        lines = [*self.ahead, f"model      {self.model}", f"test posts {self.test_posts}", f"{'':<{width}} {titles}"]
        for system, metrics in self.figures.items():
            lines.append(f"{system:<{width}} {_row(metrics, _value)}")
            if system == MODEL:
                lines.append(f"{f'  {100 * self.level:.0f} % interval':<{width}} {_row(metrics, _interval)}")
        lines += [f"{system:<{width}} not available: {reason}" for system, reason in self.unavailable.items()]
        lines += [f"unaudited  {what}" for what in self.unaudited]
        lines += [f"warning    {warning}" for warning in self.warnings]
        return [*lines, f"scorecard  {self.html}"]


def run(
    store: Store, model: str, *, resamples: int = 1000, address: str | None = None, debug: bool = False
) -> EvaluateSummary:
    """Evaluate a model on the test split of its labels, after an audit for leaks.

    Raises:
        TableError: no such model, or its label table was replaced since the training. LeakError: there is a leak.
    """
    saved = Registry(store).load(model)
    # Raw: the calibration may not exist yet.
    scorer = Scorer(saved, raw=True)
    data = training_data(store, saved, scorer.streams)
    # Baselines may need vectors that the model does not use.
    data = replace(data, extra_columns=baseline_columns(scorer.feature_set))
    with session(address, store, debug=debug):
        if not store.exists(Registry.key(saved.name, saved.version, CALIBRATION)):
            calibrate(store, saved)  # a video model: there were no features yet when it was trained
        # Before the metrics: a model with a leak gets none.
        audited = audit.check(store, saved)
        rows = gather(store, data, str(saved))
    # With the calibration, which may be new: what is evaluated is what is scored later.
    report = with_frames(_evaluate(saved, Scorer(saved), rows, resamples), store, rows)
    # Stored row by row, so that two versions can be compared later on the same posts.
    test_predictions.save(store, saved.name, saved.version, rows)
    key = Registry.key(saved.name, saved.version, "scorecard")
    store.write(f"{key}.json", report.to_json().encode())
    store.write(f"{key}.html", render(report).encode())
    test = next(part for part in report.split.parts if part.name == "test")
    return EvaluateSummary(
        model=str(saved),
        html=store.uri(f"{key}.html"),
        json=store.uri(f"{key}.json"),
        test_posts=test.posts,
        figures={
            system.name: {name: system.metrics[name] for name in SUMMARY_METRICS if name in system.metrics}
            for system in report.systems
            if system.metrics
        },
        unavailable={system.name: system.unavailable or "" for system in report.systems if not system.metrics},
        unaudited=audited.unchecked,
        level=report.settings.level,
        warnings=few_posts_warnings(test.posts),
        ahead=baselines_ahead(report),
    )


def _evaluate(saved: ModelVersion, scorer: Scorer, rows: pa.Table, resamples: int) -> Report:
    splits = rows["split"].to_numpy()
    train, test = splits == "train", splits == "test"
    if not test.any():
        raise TableError(f"no test post of labels/{saved.card['label']['name']} has features: backfill more")
    inputs = baseline_inputs(rows)
    test_rows = rows.filter(pa.array(test))
    ids = post_ids(test_rows)
    labels = Labels(ids, author_codes(test_rows), inputs.y[test], inputs.is_viral[test])
    # The gathered rows already hold the predictions: the test posts are scored once, on the cluster.
    predictions = PredictionBatch(*(test_rows[name].to_numpy() for name in ("probability", "score", "low", "high")))
    captions = {post: text for post, text in zip(ids, test_rows["caption"].to_pylist(), strict=True) if text}
    report = evaluate(
        labels,
        predictions,
        {name: fit_predict(name, inputs, train, test) for name in BASELINES},
        about=build_about(saved, scorer, rows),
        split=build_split(saved, rows),
        details=Details(contributions(test_rows), captions),
        # From training targets, as the label's own threshold: a test quantile would use what is to be predicted.
        quartile=float(np.quantile(inputs.y[train], 0.75)),
        resamples=resamples,
        log_scale=definition(saved.card["label"]["spec"]["definition"]).log_scale,
    )
    return with_sections(report, scorer, rows, labels, predictions, resamples=resamples)


def _row(metrics: Mapping[str, Estimate], show: Callable[[Estimate], str]) -> str:
    return " ".join(f"{show(metrics[name]) if name in metrics else '':>16}" for name in SUMMARY_METRICS)


def _value(estimate: Estimate) -> str:
    return "-" if estimate.value is None else f"{estimate.value:.3f}"


def _interval(estimate: Estimate) -> str:
    return "-" if estimate.low is None or estimate.high is None else f"{estimate.low:.3f} to {estimate.high:.3f}"


@click.command()
@click.option("--model", default="fusion", show_default=True, help="NAME, NAME/VERSION or NAME@champion.")
@click.option("--resamples", default=1000, show_default=True, type=click.IntRange(100), help="Bootstrap resamples.")
@ray_options
@root_options
def command(model: str, resamples: int, root: str, address: str | None, as_json: bool, debug: bool) -> None:
    """Evaluate a model and baselines on its test split; writes the scorecard (JSON and HTML) beside the model."""
    store = Store.open(root)
    work = partial(run, store, model, resamples=resamples, address=address, debug=debug)
    summary = record_run(store, "evaluate", lambda _: work())
    if as_json:
        print_summary(summary, as_json=True)
    else:
        click.echo("\n".join(summary.lines()))


if __name__ == "__main__":
    execute(command)
