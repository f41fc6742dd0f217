"""Command groups that load a command when it is called, and how a command exits."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping
from typing import Any, cast

import click

from viral.errors import ViralError

BAD_INPUT = 2


INTERRUPTED = 130


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
