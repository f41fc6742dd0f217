"""What runs and ran on a root, read from the root alone."""

from __future__ import annotations

import json
from dataclasses import asdict

import click

from viral.console.commands import execute
from viral.console.options import common
from viral.storage.store import Store
from viral.tables.run_log import Run, runs


@click.command()
@click.option("--last", default=10, show_default=True, type=click.IntRange(1), help="So many of the newest runs.")
@common
def command(last: int, root: str, as_json: bool, debug: bool) -> None:
    """Show the running and the past runs of a root; --json prints one object a run."""
    del debug  # of all commands; this one has nothing more to show
    found = runs(Store.open(root), last)
    for run in found:
        click.echo(json.dumps(asdict(run)) if as_json else _line(run))
    if not found and not as_json:
        click.echo("nothing ran here yet")


def _line(run: Run) -> str:
    parts = [run.started_at.replace("T", " ")[:19], f"{run.command:<9}", f"{run.state:<8}", f"{run.seconds:6.0f} s"]
    if run.total:
        parts.append(f"{run.done} of {run.total}")
    if run.seconds_left is not None:
        parts.append(f"about {run.seconds_left:.0f} s left, {run.done / max(1.0, run.seconds):.1f} a second")
    if run.error:
        parts.append(run.error)
    elif run.state == "finished":
        parts.append(
            ", ".join(f"{name} {value}" for name, value in run.summary.items() if isinstance(value, int | str))
        )
    return "  ".join(parts)


if __name__ == "__main__":
    execute(command)
