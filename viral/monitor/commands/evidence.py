"""`viral monitor evidence`: export the evidence of a sighting."""

from __future__ import annotations

from pathlib import Path

import click

from viral.console.options import root_options
from viral.console.output import to_json
from viral.monitor.archive import export_bundle
from viral.storage.store import Store


@click.command()
@click.argument("sighting_id")
@click.option(
    "--export", "file", type=click.Path(dir_okay=False, path_type=Path), required=True, help="ZIP file to write."
)
@root_options
def command(sighting_id: str, file: Path, root: str, as_json: bool, debug: bool) -> None:
    """Write the frames, the post as scraped and the manifest of SIGHTING_ID to a ZIP file."""
    del debug  # handled by the caller of all commands
    count = export_bundle(Store.open(root), sighting_id, file)
    click.echo(to_json({"file": str(file), "files": count}) if as_json else f"{count} files in {file}")
