"""`viral drift`: a model on posts newer than its labels, with alarms; on request it is trained again and compared."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import click

from jobs.evaluating import drift, refit
from jobs.evaluating.drift import DriftSummary, Watch
from viral.console.commands import execute
from viral.console.options import common, on_ray
from viral.console.output import say
from viral.evaluation.drift.alarms import Limits
from viral.storage.store import Store
from viral.tables.run_log import recorded

_FRACTION = click.FloatRange(0, 1)


@click.command()
@click.option("--model", default="fusion", show_default=True, help="NAME, NAME/VERSION or NAME@champion.")
@click.option(
    "--since",
    required=True,
    type=click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"]),
    help="First day (UTC) of the posts to test on.",
)
@click.option(
    "--every",
    default=Watch.every,
    show_default=True,
    type=click.FloatRange(0, min_open=True),
    help="Days per window.",
)
@click.option(
    "--alarm-coverage",
    nargs=2,
    type=_FRACTION,
    metavar="LEAST MOST",
    help="Range of interval coverage without an alarm.  [default: 0.8 0.97]",
)
@click.option("--alarm-calibration", type=_FRACTION, help="Largest calibration error.  [default: 0.05]")
@click.option("--alarm-auc", type=_FRACTION, help="Largest loss of ROC-AUC since the scorecard.  [default: 0.05]")
@click.option("--alarm-unknown", type=_FRACTION, help="Largest fraction of out-of-distribution posts.  [default: 0.1]")
@click.option(
    "--resamples",
    default=1000,
    show_default=True,
    type=click.IntRange(100),
    help="Bootstrap resamples of the scorecard that --refit writes.",
)
@click.option("--refit", "refitted", is_flag=True, help="Then label again, train the same model again, and compare.")
@on_ray
@common
def command(
    model: str,
    since: datetime,
    every: float,
    resamples: int,
    refitted: bool,
    root: str,
    address: str | None,
    as_json: bool,
    debug: bool,
    **alarms: Any,
) -> None:
    """Test a model on newer posts that it was not trained on, window by window, with alarms where it has degraded."""
    store = Store.open(root)
    limits = {name.removeprefix("alarm_"): value for name, value in alarms.items() if value is not None}
    watch = Watch(since.replace(tzinfo=UTC), every, Limits(**limits))

    def run() -> DriftSummary:
        if refitted:
            return refit.run(store, model, watch, resamples=resamples, address=address, debug=debug)
        return drift.run(store, model, watch, address=address, debug=debug)

    say(recorded(store, "drift", lambda _: run()), as_json=as_json)


if __name__ == "__main__":
    execute(command)
