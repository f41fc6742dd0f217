"""`viral monitor review`: confirm or reject a sighting."""

from __future__ import annotations

import click

from viral.console.options import root_options
from viral.console.output import to_json
from viral.monitor.review import find_sighting, update_sighting
from viral.storage.store import Store
from viral.tables.sightings import CONFIRMED, REJECTED


@click.command()
@click.argument("sighting_id")
@click.argument("verdict", type=click.Choice(["confirm", "reject"]))
@root_options
def command(sighting_id: str, verdict: str, root: str, as_json: bool, debug: bool) -> None:
    """Say whether SIGHTING_ID is right. `viral monitor target add NAME` without --examples then learns from it."""
    del debug  # handled by the caller of all commands
    store, status = Store.open(root), CONFIRMED if verdict == "confirm" else REJECTED
    update_sighting(store, find_sighting(store, sighting_id), status=status)
    click.echo(to_json({"sighting_id": sighting_id, "status": status}) if as_json else f"{sighting_id} is {status}")
