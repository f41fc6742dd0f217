"""The `viral` command: a table of commands, each loaded when it is called."""

from __future__ import annotations

import dataclasses
import functools
import importlib
import json
import math
import sys
from collections.abc import Callable, Mapping
from typing import Any, ParamSpec, TypeVar, cast

import click

import viral
from viral.errors import ViralError

COMMANDS = {
    "demo": ("cluster.demo", "Everything once, on a synthetic corpus made here."),
    "ingest": ("jobs.ingest", "Scraped data to the posts table."),
    "fetch": ("jobs.fetch", "Videos by URL or feed into the root."),
    "label": ("jobs.label", "Counts to targets, and the split."),
    "backfill": ("jobs.backfill", "Videos to a feature table; goes on where it was killed."),
    "failures": ("jobs.failures", "The posts that failed, by reason."),
    "train": ("jobs.train", "Features and labels to a model."),
    "evaluate": ("jobs.evaluate", "A model on its test split, beside baselines: JSON and one HTML page."),
    "models": ("viral.models_command", "The saved models: list, show, compare, promote to champion."),
    "study": ("jobs.study", "One corpus through every split: a scorecard that says how much each flatters."),
    "score": ("jobs.score", "Score files, or all posts of a feature table."),
    "explain": ("jobs.explain", "Why a draft scores as it does, and which of several is ahead."),
    "serve": ("cluster.serve", "The endpoint: POST /v1/score."),
    "status": ("jobs.status", "What runs and ran on a root."),
    "weights": ("viral.weights_command", "Pretrained weights: list, fetch once, or put by hand."),
}
"""For each command the module that holds it as `command`, and what the overview says of it."""

BAD_INPUT, INTERRUPTED = 2, 130

P = ParamSpec("P")
R = TypeVar("R")


class Commands(click.Group):
    """The overview names commands without importing them: it must answer at once.

    Args:
        table: for each command the module that holds it as `command`, and what the overview says of it.
        attributes: click's own.
    """

    def __init__(self, *, table: Mapping[str, tuple[str, str]], **attributes: Any) -> None:
        super().__init__(**attributes)
        self.table = table

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names, in the order of the work."""
        return list(self.table)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the module of the command."""
        if cmd_name not in self.table:
            return None
        return cast("click.Command", importlib.import_module(self.table[cmd_name][0]).command)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """One line a command."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in self.table.items()])


@click.group(cls=Commands, table=COMMANDS, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(viral.__version__)
def command() -> None:
    """Learns from short videos what makes them spread, and scores new ones."""


def main() -> None:
    """The console script."""
    execute(command)


def execute(entry: click.Command) -> None:
    """Run a command and exit: 0 when what was asked is done, 2 when its user can mend what is wrong.

    That is then one line on stderr, its trace only under `--debug`; anything else is a fault of ours, with its trace.
    """
    try:
        # Not click's standalone mode: that ends an interrupted command with status 1 and no word of how to go on.
        status = entry.main(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        status = error.exit_code
    except ViralError as error:
        if "--debug" in sys.argv:
            raise
        click.echo(f"error: {error}", err=True)
        status = BAD_INPUT
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted: the same command goes on from here", err=True)
        status = INTERRUPTED
    sys.exit(status)


def common(function: Callable[P, R]) -> Callable[P, R]:
    """The options of every command that works on a root: `--root`, `--json`, `--debug`."""
    for option in (
        click.option("--debug", is_flag=True, help="Show Ray's own output, and traces of errors."),
        click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON."),
        click.option(
            "--root", required=True, envvar="VIRAL_ROOT", help="Folder or s3://bucket/prefix that holds everything."
        ),
    ):
        function = option(function)
    return function


def on_ray(function: Callable[P, R]) -> Callable[P, R]:
    """The option of every command that runs on Ray: `--address`."""
    return click.option(
        "--address", envvar="RAY_ADDRESS", default=None, help="Ray cluster to run on; absent: this machine."
    )(function)


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
