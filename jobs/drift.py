"""`viral drift`: test a model on newer posts and raise alarms; with --refit, train it again and compare."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import click

from jobs.evaluating import drift, refit
from jobs.evaluating.drift import DriftSpec, DriftSummary
from viral.console.commands import execute
from viral.console.options import ray_options, root_options
from viral.console.output import print_summary
from viral.evaluation.drift.alarms import AlarmLimits
from viral.storage.store import Store
from viral.tables.run_log import record_run

_FRACTION, _POSITIVE = click.FloatRange(0, 1), click.FloatRange(0, min_open=True)
_TIME = click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"])


@click.command()
@click.option("--model", default="fusion", show_default=True, help="NAME, NAME/VERSION or NAME@champion.")
@click.option("--since", required=True, type=_TIME, help="First day (UTC) of the posts to test on.")
@click.option(
    "--every",
    default=DriftSpec.every,
    show_default=True,
    type=_POSITIVE,
    help="Days per window; windows with few posts are merged with the next.",
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
@click.option(
    "--refit",
    "refit_model",
    is_flag=True,
    help="Then label all posts again, train the model again with the same settings, and compare.",
)
@ray_options
@root_options
def command(
    model: str,
    since: datetime,
    every: float,
    resamples: int,
    refit_model: bool,
    root: str,
    address: str | None,
    as_json: bool,
    debug: bool,
    **alarms: Any,
) -> None:
    """Test a model on newer posts that it was not trained on, window by window, with alarms where it has degraded."""
    store = Store.open(root)
    # Only the limits that the user gave: the others keep the defaults of `AlarmLimits`.
    limits = {name.removeprefix("alarm_"): value for name, value in alarms.items() if value is not None}
    # click parses a time without a zone; the option says that it is UTC.
    spec = DriftSpec(since.replace(tzinfo=UTC), every, AlarmLimits(**limits))

    def run() -> DriftSummary:
        """Test the model, and train it again if asked to."""
        if refit_model:
            return refit.run(store, model, spec, resamples=resamples, address=address, debug=debug)
        return drift.run(store, model, spec, address=address, debug=debug)

    print_summary(record_run(store, "drift", lambda _: run()), as_json=as_json)


if __name__ == "__main__":
    execute(command)
