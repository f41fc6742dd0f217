"""Output of commands: summaries and progress bars."""

from __future__ import annotations

import dataclasses
import functools
import json
import math
import os
import time
from collections.abc import Callable, Mapping
from typing import Any

import click

from viral.errors import ViralError

LINE_SECONDS = 15.0  # between two lines of progress in a log: a watcher sees that it goes on, a day has 6,000 lines

ProgressCallback = Callable[[int, int], None]
"""Called with the number of finished items and of all items."""


def print_summary(summary: Any, *, as_json: bool) -> None:
    """Print a summary (a dataclass) as aligned lines, or as one JSON object."""
    values = dataclasses.asdict(summary)
    if as_json:
        click.echo(to_json(values))
        return
    # Values in one column, behind the longest name.
    width = max(len(name) for name in values)
    for name, value in values.items():
        for i, line in enumerate(_lines(value)):
            click.echo(f"{name.replace('_', ' ') if i == 0 else '':<{width}}  {line}")


def to_json(values: Any) -> str:
    """Serialise values as JSON on one line; NaN and infinity become null."""
    return json.dumps(_finite(values), allow_nan=False)


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _finite(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    # JSON has no NaN or infinity, and Python would write them all the same.
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _lines(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [f"{name}: {_format(item)}" for name, item in value.items()] or ["-"]
    if isinstance(value, list):
        return [_format(item) for item in value] or ["-"]
    return [_format(value)]


def _format(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def all_failed(count: int, what: str, reasons: Mapping[str, int]) -> ViralError:
    """Return the error of a run that came to nothing, with its most frequent reason: whoever started it must see.

    Args:
        count: of what failed.
        what: what failed, and how it is called: "posts failed".
        reasons: number of failures by reason.
    """
    most = max(reasons, key=lambda reason: reasons[reason], default="no reason was stored")
    return ViralError(f"all {count} {what}, most because: {most}")


def in_submitted_job() -> bool:
    """Whether this process is the driver of a job that was submitted to a cluster; checked against Ray 2.60.0."""
    return "RAY_JOB_CONFIG_JSON_ENV_VAR" in os.environ


def progress_bar(title: str, *, unit: str = "post") -> ProgressCallback:
    """Create a progress callback `(done, total)`: a bar on a terminal, lines in a submitted job's log, else silent."""
    from tqdm import tqdm

    if in_submitted_job():
        return _progress_lines(title, unit)
    create_bar = functools.cache(  # on the first update, when the total is known
        lambda total: tqdm(desc=title, total=total, unit=unit, unit_scale=unit == "B", disable=None)
    )

    def update(done: int, total: int) -> None:
        """Move the bar to `done` of `total`; the first call creates it, the last one closes it."""
        bar = create_bar(total)
        bar.update(done - bar.n)
        if done >= total:
            bar.close()

    return update


def _progress_lines(title: str, unit: str) -> ProgressCallback:
    from tqdm import tqdm

    started = last_line = time.monotonic()

    def update(done: int, total: int) -> None:
        """Print a line if the last one is old enough."""
        nonlocal last_line
        if done < total and time.monotonic() > last_line + LINE_SECONDS:
            last_line = time.monotonic()
            seconds, scaled = last_line - started, unit == "B"
            line = tqdm.format_meter(done, total, seconds, 0, prefix=title, unit=unit, unit_scale=scaled)
            click.echo(line, err=True)

    return update
