"""Options shared by several commands."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import ParamSpec, TypeVar

import click

from viral.errors import ConfigError

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
            "--root",
            envvar="VIRAL_ROOT",
            callback=_require_root if required else _refuse_relative_root,
            help="Folder or s3://bucket/prefix with all data.",
        ),
    ):
        function = option(function)
    return function


def ray_options(function: Callable[P, R]) -> Callable[P, R]:
    """Add the option of every command that runs on Ray: `--address`."""
    return click.option(
        "--address",
        envvar="RAY_ADDRESS",
        default=None,
        callback=_refuse_relative_root,
        help="Ray cluster to run on; default: this machine.",
    )(function)


def _refuse_relative_root(context: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    """Check `--root` and `--address`, whichever is parsed last.

    Raises:
        ConfigError: the root is relative, and the command runs on a cluster.
    """
    given = {**context.params, parameter.name: value}
    # A job of a cluster has the variable, whether or not its command has the option.
    if given.get("root") and (given.get("address") or os.environ.get("RAY_ADDRESS")):
        check_absolute(given["root"])
    return value


def _require_root(context: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    if not value and not context.resilient_parsing:
        raise no_root_error()
    return _refuse_relative_root(context, parameter, value)


def no_root_error() -> ConfigError:
    """Error of a command that needs a root and got none."""
    return ConfigError("name the root: --root, or VIRAL_ROOT")


def check_absolute(root: str) -> None:
    """Check the root of a command that runs on a cluster.

    Raises:
        ConfigError: it is relative.
    """
    if not root.startswith("s3://") and not Path(root).expanduser().is_absolute():
        raise ConfigError(
            f"the root {root} is relative, and every node of the cluster would look in a folder of its own: "
            "use s3://bucket/prefix, or the absolute path of a folder that all nodes share"
        )
