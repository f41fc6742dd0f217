"""`viral status`: the running and past commands of a root."""

from __future__ import annotations

import json
from dataclasses import asdict
from textwrap import shorten

import click

from viral.console.commands import execute
from viral.console.options import root_options
from viral.storage.store import Store
from viral.tables.run_log import Run, runs

_ERROR_LETTERS = 160  # the command itself has shown the whole error


@click.command()
@click.option("--last", default=10, show_default=True, type=click.IntRange(1), help="Number of runs to show.")
@root_options
def command(last: int, root: str, as_json: bool, debug: bool) -> None:
    """Show the running and past commands of a root; --json prints one object per run."""
    del debug  # every command has this option, but this one has no debug output
    latest = runs(Store.open(root), last)
    for run in latest:
        click.echo(json.dumps(asdict(run)) if as_json else _line(run))
    if not latest and not as_json:
        click.echo("no runs yet")


def _line(run: Run) -> str:
    parts = [run.started_at.replace("T", " ")[:19], f"{run.command:<9}", f"{run.state:<11}", f"{run.seconds:6.0f} s"]
    if run.total:
        parts.append(f"{run.done} of {run.total}")
    if run.seconds_left is not None:
        # At least one second: the rate of a run that has just begun would be absurd.
        parts.append(f"about {run.seconds_left:.0f} s left, {run.done / max(1.0, run.seconds):.1f} per second")
    if run.error:
        parts.append(shorten(run.error, _ERROR_LETTERS, placeholder=" …"))
    if run.state in ("failed", "interrupted", "killed"):
        # Every command resumes or starts over by itself, so one hint fits all.
        parts.append(f"to go on, run viral {run.command} as before")
    elif run.state == "finished":
        parts.append(
            ", ".join(f"{name} {value}" for name, value in run.summary.items() if isinstance(value, int | str))
        )
    return "  ".join(parts)


if __name__ == "__main__":
    execute(command)
