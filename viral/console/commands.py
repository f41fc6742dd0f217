"""Command groups that import a command only when it is called, and the exit status of commands."""

from __future__ import annotations

import importlib
import io
import os
import signal
import sys
from collections.abc import Mapping
from difflib import get_close_matches
from types import FrameType
from typing import Any, cast

import click

from viral.errors import ConfigError, ViralError

BAD_INPUT = 2  # click's exit status for wrong usage
INTERRUPTED, TERMINATED = 130, 143  # a shell's exit status after SIGINT and SIGTERM: 128 + 2, 128 + 15


class TerminatedError(KeyboardInterrupt):
    """SIGTERM arrived. A KeyboardInterrupt, so that libraries end as they do after Ctrl-C."""


class LazyGroup(click.Group):
    """Command group that imports a command's module only when it is called, so that `--help` answers at once.

    Args:
        table: per command name, the module that defines it as `command`, and one line of help.
        attributes: passed to click.Group.
    """

    def __init__(self, *, table: Mapping[str, tuple[str, str]], **attributes: Any) -> None:
        super().__init__(**attributes)
        self.table = table

    def list_commands(self, ctx: click.Context) -> list[str]:
        """List the command names in the order of the table."""
        return list(self.table)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the module of the command; None if there is no such command."""
        if cmd_name not in self.table:
            return None
        return cast("click.Command", importlib.import_module(self.table[cmd_name][0]).command)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command of a line; the error about an unknown one names those that are meant or that there are."""
        if args and args[0] not in self.table and not args[0].startswith("-") and not ctx.resilient_parsing:
            meant = get_close_matches(args[0], self.table, n=3)
            hint = f"did you mean {' or '.join(meant)}?" if meant else f"there are {', '.join(self.table)}"
            raise ConfigError(f"there is no command {args[0]!r}: {hint}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write one line per command."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in self.table.items()])


def execute(entry: click.Command) -> None:
    """Run a command and exit with 0 on success, or with 2 and one line on stderr after a ViralError.

    `--debug` shows the traceback of a ViralError, too. Any other exception is a bug and always shows its traceback.
    SIGINT and SIGTERM end it after its temporary files are removed.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a file name need not be text, nor the terminal UTF-8
    before = signal.signal(signal.SIGTERM, _terminate)
    try:
        # Only then: importing the settings takes longer than `--help` should.
        if any(name.upper().startswith("VIRAL_") for name in os.environ):
            from viral.config import check_environment

            check_environment()  # a misspelt setting would be ignored
        # In standalone mode, click would exit an interrupted command with status 1 and without the hint below.
        status = entry.main(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        status = error.exit_code
    except ViralError as error:
        if "--debug" in sys.argv:
            raise
        click.echo(f"error: {error}", err=True)
        status = BAD_INPUT
    except (click.Abort, KeyboardInterrupt) as error:
        # click turns a KeyboardInterrupt into its own Abort, with the original as the cause.
        terminated = isinstance(error, TerminatedError) or isinstance(error.__cause__, TerminatedError)
        click.echo(f"{'terminated' if terminated else 'interrupted'}: run the same command again to continue", err=True)
        status = TERMINATED if terminated else INTERRUPTED
    finally:
        signal.signal(signal.SIGTERM, before)
    sys.exit(status)


def _terminate(_number: int, _frame: FrameType | None) -> None:
    raise TerminatedError
