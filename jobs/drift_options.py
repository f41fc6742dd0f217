"""How a model is looked at on later posts, as options of a command."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from functools import wraps
from typing import Any

import click

from jobs.drift import Watch
from viral.errors import ConfigError
from viral.evaluation.alarms import Limits

_SHARE = click.FloatRange(0, 1)


def drift_options(function: Callable[..., None]) -> Callable[..., None]:
    """`--since` and what belongs to it; the command gets them as one `watch`, None without `--since`, and `refit`."""

    @wraps(function)
    def call(*arguments: Any, since: datetime | None, refit: bool, every: float | None, **options: Any) -> None:
        given = {name: options.pop(f"alarm_{name}") for name in ("coverage", "calibration", "auc", "unknown")}
        limits = {name: value for name, value in given.items() if value is not None}
        if since is None and (refit or every is not None or limits):
            raise ConfigError("--refit, --every and the alarms are for posts since a day: add --since DATE")
        watch = None
        if since is not None:
            days = Watch.every if every is None else every
            watch = Watch(since.replace(tzinfo=UTC), days, Limits(**limits))
        function(*arguments, watch=watch, refit=refit, **options)

    chosen: Callable[..., None] = call
    for option in reversed(_OPTIONS):
        chosen = option(chosen)
    return chosen


_OPTIONS = (
    click.option(
        "--since",
        type=click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"]),
        help="Instead: is it still right about posts from then on (UTC) that it has not learnt from?",
    ),
    click.option(
        "--every", type=click.FloatRange(0, min_open=True), help="With --since: days of a window.  [default: 7]"
    ),
    click.option(
        "--alarm-coverage", nargs=2, type=_SHARE, metavar="LEAST MOST", help="Of intervals.  [default: 0.8 0.97]"
    ),
    click.option("--alarm-calibration", type=_SHARE, help="Predicted from happened, at most.  [default: 0.05]"),
    click.option("--alarm-auc", type=_SHARE, help="ROC-AUC below the scorecard's, at most.  [default: 0.05]"),
    click.option("--alarm-unknown", type=_SHARE, help="Posts unlike the training posts, at most.  [default: 0.1]"),
    click.option("--refit", is_flag=True, help="With --since: then label anew, train the same again, and compare."),
)
