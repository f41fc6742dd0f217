"""Output of commands: summaries and progress bars."""

from __future__ import annotations

import dataclasses
import functools
import json
import math
from collections.abc import Callable
from typing import Any

import click

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


def progress_bar(title: str, *, unit: str = "post") -> ProgressCallback:
    """Create a progress callback `(done, total)`: a bar with rate and time left on a terminal, silent elsewhere."""
    from tqdm import tqdm

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
