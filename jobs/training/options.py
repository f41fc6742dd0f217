"""Command-line options of the training jobs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import wraps
from pathlib import Path
from typing import Any

import click

from viral.errors import ConfigError
from viral.models.train_config import BALANCED, TrainConfig
from viral.tracking.curves import Tracking

POSITIVE = click.FloatRange(0, min_open=True)

Workers = int | tuple[int, int]
"""A fixed number of workers, or a minimum and a maximum: training then grows and shrinks with the cluster.

0 trains in the process of the command, which saves the seconds that starting workers takes; it has no checkpoints.
"""


def workers_option(function: Callable[..., None]) -> Callable[..., None]:
    """Add `--workers`: a number (`2`) or a range (`1-4`)."""
    option = click.option(
        "--workers",
        default="2",
        show_default=True,
        callback=lambda *call: _workers(call[-1]),
        help="Number of workers, or a range, as 1-4. 0: this process, fastest for small data; a kill starts over.",
    )
    return option(function)


def _workers(text: str) -> Workers:
    minimum, dash, maximum = text.partition("-")
    if minimum.isdecimal() and not dash:
        return int(minimum)
    if minimum.isdecimal() and maximum.isdecimal() and int(maximum) >= int(minimum) > 0:
        return int(minimum), int(maximum)
    raise ConfigError(f"--workers takes a number, as in 2, or a range, as in 1-4: not {text!r}")


def tracking_options(function: Callable[..., None]) -> Callable[..., None]:
    """Add `--mlflow` and `--tensorboard`; the command receives them as one `tracking`."""

    @wraps(function)
    def call(*arguments: Any, mlflow: str | None, tensorboard: Path | None, **options: Any) -> None:
        """Call the command with both options as one `tracking`."""
        function(*arguments, tracking=Tracking(mlflow, tensorboard), **options)

    folder = click.Path(file_okay=False, path_type=Path)
    help_text = "Also log the curves to this MLflow server."
    server = click.option("--mlflow", envvar="MLFLOW_TRACKING_URI", metavar="URI", help=help_text)
    return server(click.option("--tensorboard", type=folder, help="Also write the curves to this folder.")(call))


def min_workers(workers: Workers) -> int:
    """Return the minimum number of workers."""
    return workers if isinstance(workers, int) else workers[0]


def train_options(function: Callable[..., None]) -> Callable[..., None]:
    """Add the options of `TrainConfig`; the command receives them as one `config`."""

    @wraps(function)
    def call(*arguments: Any, viral_weight: str, **options: Any) -> None:
        """Call the command with the training options as one `config`."""
        fields = {name: options.pop(name) for name in _FIELDS}
        config = TrainConfig(**fields, viral_weight=BALANCED if viral_weight == BALANCED else _weight(viral_weight))
        function(*arguments, config=config, **options)

    command: Callable[..., None] = call
    # click lists options in the reverse order of decoration.
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


_OPTIONS = (
    click.option("--epochs", default=TrainConfig.epochs, show_default=True, type=click.IntRange(1)),
    click.option(
        "--patience",
        default=TrainConfig.patience,
        show_default=True,
        type=click.IntRange(1),
        help="Epochs without a gain.",
    ),
    click.option("--lr", "learning_rate", default=TrainConfig.learning_rate, show_default=True, type=POSITIVE),
    click.option("--batch-size", type=click.IntRange(1), help="Over all workers; by default it grows with the data."),
    click.option(
        "--viral-weight",
        default="1",
        show_default=True,
        metavar="NUMBER",
        help="Weight of a viral post in the loss; `balanced`: equal total weight of both classes.",
    ),
    click.option(
        "--focal", default=0.0, show_default=True, type=click.FloatRange(0), help="Gamma of the focal loss; 0: off."
    ),
    click.option("--seed", default=0, show_default=True),
    click.option("--precision", default="auto", show_default=True, type=click.Choice(["auto", "float32", "bfloat16"])),
)
_FIELDS = ("epochs", "patience", "learning_rate", "batch_size", "focal", "seed", "precision")


def _weight(text: str) -> float:
    with suppress(ValueError):
        if 0 < (weight := float(text)) < 1e6:  # from there on, the other posts would hardly count
            return weight
    raise ConfigError(f"--viral-weight takes a number above 0 and below 1e6, or {BALANCED}")


def parse_weights(pairs: Sequence[str], usage: str) -> dict[str, float] | None:
    """Parse repeated `NAME=WEIGHT`; None if there are none. Raises ConfigError with the message `usage`."""
    try:
        return {name: float(weight) for name, weight in (pair.split("=") for pair in pairs)} or None
    except ValueError as error:
        raise ConfigError(usage) from error
