"""What commands print: summaries and progress bars."""

from __future__ import annotations

import dataclasses
import functools
import json
import math
from collections.abc import Callable
from typing import Any

import click


def say(summary: Any, *, as_json: bool) -> None:
    """Print a summary (a dataclass): aligned lines for people, one JSON object for machines."""
    values = dataclasses.asdict(summary)
    if as_json:
        click.echo(to_json(values))
        return
    width = max(len(name) for name in values)
    for name, value in values.items():
        for place, line in enumerate(_lines(value)):
            click.echo(f"{name.replace('_', ' ') if not place else '':<{width}}  {line}")


def to_json(values: Any) -> str:
    """Values as JSON on one line, with null for what JSON has no number for."""
    return json.dumps(_finite(values), allow_nan=False)


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _finite(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _lines(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [f"{name}: {_short(each)}" for name, each in value.items()] or ["-"]
    if isinstance(value, list):
        return [_short(each) for each in value] or ["-"]
    return [_short(value)]


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def bar(title: str, *, unit: str = "post") -> Callable[[int, int], None]:
    """A progress callback `(done, all)`: a bar with rate and time left on a terminal, nothing elsewhere."""
    from tqdm import tqdm

    progress = functools.cache(
        lambda total: tqdm(desc=title, total=total, unit=unit, unit_scale=unit == "B", disable=None)
    )

    def update(done: int, total: int) -> None:
        line = progress(total)
        line.update(done - line.n)
        if done >= total:
            line.close()

    return update
