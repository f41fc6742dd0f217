"""Options shared by several commands."""

from __future__ import annotations

from collections.abc import Callable
from typing import ParamSpec, TypeVar

import click

P = ParamSpec("P")
R = TypeVar("R")


def root_options(function: Callable[P, R]) -> Callable[P, R]:
    """Add the options of every command that works on a root: `--root`, `--json`, `--debug`."""
    return _root_options(function, required=True)


def optional_root_options(function: Callable[P, R]) -> Callable[P, R]:
    """Add the same options to a command that does some of its work without a root."""
    return _root_options(function, required=False)


def _root_options(function: Callable[P, R], *, required: bool) -> Callable[P, R]:
    # Applied from the last to the first shown: click lists options in the reverse order of decoration.
    for option in (
        click.option("--debug", is_flag=True, help="Show Ray's own output, and tracebacks."),
        click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON."),
        click.option(
            "--root", required=required, envvar="VIRAL_ROOT", help="Folder or s3://bucket/prefix with all data."
        ),
    ):
        function = option(function)
    return function


def ray_options(function: Callable[P, R]) -> Callable[P, R]:
    """Add the option of every command that runs on Ray: `--address`."""
    return click.option(
        "--address", envvar="RAY_ADDRESS", default=None, help="Ray cluster to run on; default: this machine."
    )(function)
