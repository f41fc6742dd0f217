"""How to train, as options of a command."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import click

from viral.errors import ConfigError
from viral.models.train_config import BALANCED, TrainConfig
from viral.tracking.curves import Tracking

POSITIVE = click.FloatRange(0, min_open=True)


Workers = int | tuple[int, int]
"""How many, or at least and at most so many: then as many as the cluster has room for, now and later."""


def workers_option(function: Callable[..., None]) -> Callable[..., None]:
    """`--workers`: `2`, or `1-4`."""
    option = click.option(
        "--workers", default="2", show_default=True, callback=lambda *given: _workers(given[-1]), help="Or as in 1-4."
    )
    return option(function)


def _workers(text: str) -> Workers:
    at_least, dash, at_most = text.partition("-")
    if at_least.isdecimal() and int(at_least) > 0:
        if not dash:
            return int(at_least)
        if at_most.isdecimal() and int(at_most) >= int(at_least):
            return int(at_least), int(at_most)
    raise ConfigError(f"--workers takes how many, as in 2, or at least and at most how many, as in 1-4: not {text!r}")


def tracking_options(function: Callable[..., None]) -> Callable[..., None]:
    """`--mlflow` and `--tensorboard`; the command gets them as one `tracking`."""

    @wraps(function)
    def call(*arguments: Any, mlflow: str | None, tensorboard: Path | None, **options: Any) -> None:
        function(*arguments, tracking=Tracking(mlflow, tensorboard), **options)

    folder = click.Path(file_okay=False, path_type=Path)
    server = click.option(
        "--mlflow", envvar="MLFLOW_TRACKING_URI", metavar="URI", help="Log the curves to MLflow, too."
    )
    return server(
        click.option("--tensorboard", type=folder, help="Write the curves there, beside the model's own.")(call)
    )


def least(workers: Workers) -> int:
    """The number that there will be in any case."""
    return workers if isinstance(workers, int) else workers[0]


def train_options(function: Callable[..., None]) -> Callable[..., None]:
    """`--epochs` and what else a user may want to turn; the command gets them as one `config`."""

    @wraps(function)
    def call(*arguments: Any, viral_weight: str, **options: Any) -> None:
        fields = {name: options.pop(name) for name in _FIELDS}
        config = TrainConfig(**fields, viral_weight=BALANCED if viral_weight == BALANCED else _weight(viral_weight))
        function(*arguments, config=config, **options)

    chosen: Callable[..., None] = call
    for option in reversed(_OPTIONS):
        chosen = option(chosen)
    return chosen


_OPTIONS = (
    click.option("--epochs", default=TrainConfig.epochs, show_default=True, type=click.IntRange(1)),
    click.option("--patience", default=TrainConfig.patience, show_default=True, type=click.IntRange(1), help="Epochs."),
    click.option("--lr", "learning_rate", default=TrainConfig.learning_rate, show_default=True, type=POSITIVE),
    click.option("--batch-size", type=click.IntRange(1), help="On all workers together; by default by the posts."),
    click.option(
        "--viral-weight",
        default="1",
        show_default=True,
        metavar="NUMBER",
        help="How much a viral post counts against another one; `balanced`: by how rare they are.",
    ),
    click.option(
        "--focal", default=0.0, show_default=True, type=click.FloatRange(0), help="Gamma of the focal loss; 0: none."
    ),
    click.option("--seed", default=0, show_default=True),
    click.option("--precision", default="auto", show_default=True, type=click.Choice(["auto", "float32", "bfloat16"])),
)
_FIELDS = ("epochs", "patience", "learning_rate", "batch_size", "focal", "seed", "precision")


def _weight(text: str) -> float:
    try:
        weight = float(text)
    except ValueError:
        weight = 0.0
    if not 0 < weight < 1e6:
        raise ConfigError(f"--viral-weight takes a number above 0, or {BALANCED}")
    return weight
