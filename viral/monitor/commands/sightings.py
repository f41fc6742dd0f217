"""`viral monitor sightings`: list what was found."""

from __future__ import annotations

import click

from viral.console.options import root_options
from viral.console.output import to_json
from viral.queries.command import plain
from viral.storage.store import Store
from viral.tables.sightings import sightings_table

_SHOWN = ("sighting_id", "target", "status", "confidence", "start_seconds", "page_url")


@click.command()
@click.option("--target", help="Only those of this target.")
@click.option("--last", type=click.IntRange(min=1), default=20, show_default=True, help="How many.")
@root_options
def command(target: str | None, last: int, root: str, as_json: bool, debug: bool) -> None:
    """List possible and reviewed sightings, the newest first."""
    del debug  # handled by the caller of all commands
    rows = [row for row in sightings_table(Store.open(root)).read().to_pylist() if target in (None, row["target"])]
    rows = sorted(rows, key=lambda row: row["detected_at"], reverse=True)[:last]
    for row in rows:
        shown = plain(row) if as_json else {name: plain(row[name]) for name in _SHOWN}
        click.echo(to_json(shown) if as_json else _line(shown))
    if not rows and not as_json:
        click.echo("no sightings")


def _line(row: dict[str, object]) -> str:
    return (
        f"{row['sighting_id']}  {row['target']:<16}  {row['status']:<9}  {row['confidence']:.3f}  "
        f"from {row['start_seconds']:.1f} s  {row['page_url'] or '-'}"
    )
