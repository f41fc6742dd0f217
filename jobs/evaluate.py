"""A model on its test split, beside baselines → the scorecard: one JSON and one HTML page beside the model."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import click
import numpy as np
import pyarrow as pa

from jobs import audit
from jobs.evaluating.about import about_of, split_of
from jobs.evaluating.baseline_rows import seen_by_baselines
from jobs.evaluating.rows import gather, ids_of, inputs_of, shares_of
from jobs.evaluating.sections import with_frames, with_sections
from jobs.runtime.session import session
from jobs.training.calibrate import calibrate
from jobs.training.labelled import labelled_features, share_of
from viral.console.commands import execute
from viral.console.options import common, on_ray
from viral.console.output import say
from viral.errors import TableError
from viral.evaluation.baselines.baselines import BASELINES, fit_predict
from viral.evaluation.evaluate import Details, Forecast, Truth, evaluate
from viral.evaluation.report import report
from viral.evaluation.report.page import render
from viral.evaluation.splits import author_codes
from viral.evaluation.test_predictions import keep
from viral.labels.registry import definition
from viral.registry.registry import Registry, Saved
from viral.scoring.scorer import CALIBRATION, Scorer
from viral.storage.store import Store
from viral.tables.run_log import recorded

SUMMARY_FIGURES = ("roc_auc", "spearman", "rmse", "accuracy_at_75", "coverage")


@dataclass
class EvaluateSummary:
    """Where the scorecard lies, its main figures beside the baselines', and what the audit could not look at."""

    model: str
    html: str
    json: str
    test_posts: int
    figures: dict[str, str] = field(default_factory=dict)
    unaudited: list[str] = field(default_factory=list)


def run(
    store: Store, model: str, *, resamples: int = 1000, address: str | None = None, debug: bool = False
) -> EvaluateSummary:
    """Judge a model on the test split of the labels that it was trained on, once the audit has found no leak.

    Raises:
        TableError: no such model, or its labels were made anew since. LeakError: the audit found a leak.
    """
    saved = Registry(store).load(model)
    scorer = Scorer(saved, raw=True)
    data, about = labelled_features(store, scorer.feature_set, saved.card["label"]["name"], scorer.streams)
    data = replace(data, beside=seen_by_baselines(scorer.feature_set), share=share_of(saved))
    if about != saved.card["label"]:
        name = saved.card["label"]["name"]
        raise TableError(f"labels/{name} was made anew since {saved} was trained: train again, or label as before")
    with session(address, debug=debug):
        if not store.exists(Registry.key(saved.name, saved.version, CALIBRATION)):
            calibrate(store, saved)  # a video model: at its training there were no features yet
        audited = audit.check(store, saved)
        rows = gather(store, data, str(saved))
    judged = with_frames(_judge(saved, Scorer(saved), rows, resamples), store, rows)
    keep(store, saved.name, saved.version, rows)
    place = f"models/{saved.name}/{saved.version:04d}/scorecard"
    store.write(f"{place}.json", judged.to_json().encode())
    store.write(f"{place}.html", render(judged).encode())
    return EvaluateSummary(
        model=str(saved),
        html=store.uri(f"{place}.html"),
        json=store.uri(f"{place}.json"),
        test_posts=_test_posts(judged),
        figures=_main_figures(judged),
        unaudited=audited.unchecked,
    )


def _judge(saved: Saved, scorer: Scorer, rows: pa.Table, resamples: int) -> report.Report:
    parts = rows["split"].to_numpy()
    train, test = parts == "train", parts == "test"
    if not test.any():
        raise TableError(f"no test post of labels/{saved.card['label']['name']} has features: backfill more")
    inputs = inputs_of(rows)
    tested = rows.filter(pa.array(test))
    truth = Truth(ids_of(tested), author_codes(tested), inputs.y[test], inputs.is_viral[test])
    said = Forecast(*(tested[name].to_numpy() for name in ("probability", "score", "low", "high")))
    captions = {post: text for post, text in zip(ids_of(tested), tested["caption"].to_pylist(), strict=True) if text}
    judged = evaluate(
        truth,
        said,
        {name: fit_predict(name, inputs, train, test) for name in BASELINES},
        about=about_of(saved, scorer, rows),
        split=split_of(saved, rows),
        details=Details(shares_of(tested), captions),
        quartile=float(np.quantile(inputs.y[train], 0.75)),
        resamples=resamples,
        log_scale=definition(saved.card["label"]["spec"]["definition"]).log_scale,
    )
    return with_sections(judged, scorer, rows, truth, said, resamples=resamples)


def _test_posts(judged: report.Report) -> int:
    return next(part.posts for part in judged.split.parts if part.name == "test")


def _main_figures(judged: report.Report) -> dict[str, str]:
    lines = {}
    for system in judged.systems:
        told = [f"{name} {_figure(system.figures[name])}" for name in SUMMARY_FIGURES if name in system.figures]
        lines[system.name] = ", ".join(told) if told else f"not available: {system.unavailable}"
    return lines


def _figure(estimate: Any) -> str:
    if estimate.value is None:
        return "-"
    return f"{estimate.value:.3f} [{estimate.low:.3f}, {estimate.high:.3f}]" if estimate.low is not None else "-"


@click.command()
@click.option("--model", default="fusion", show_default=True, help="NAME, NAME/VERSION or NAME@champion.")
@click.option("--resamples", default=1000, show_default=True, type=click.IntRange(100), help="Of the bootstrap.")
@on_ray
@common
def command(
    model: str,
    resamples: int,
    root: str,
    address: str | None,
    as_json: bool,
    debug: bool,
) -> None:
    """Judge a model on its test split, beside baselines; writes one JSON and one HTML page beside the model."""
    store = Store.open(root)
    work = partial(run, store, model, resamples=resamples, address=address, debug=debug)
    say(recorded(store, "evaluate", lambda _: work()), as_json=as_json)


if __name__ == "__main__":
    execute(command)
