"""`viral monitor verify`: check an exported bundle of evidence."""

from __future__ import annotations

from pathlib import Path

import click

from viral.console.options import optional_root_options
from viral.console.output import print_summary
from viral.monitor.archive import verify_archive
from viral.storage.store import Store

_FILE = click.Path(dir_okay=False, path_type=Path)


@click.command()
@click.argument("file", type=_FILE)
@click.option("--certificate", type=_FILE, help="Root certificates (PEM) of the time-stamping server to trust.")
@optional_root_options
def command(file: Path, certificate: Path | None, root: str | None, as_json: bool, debug: bool) -> None:
    """Check that nothing in FILE differs from its manifest, and that the time stamp belongs to that manifest.

    Whoever changes a file can write a new manifest, too: only a time stamp, or the root that recorded the sighting
    (--root), tells the two apart.
    """
    del debug  # handled by the caller of all commands
    print_summary(verify_archive(file, certificate, Store.open(root) if root else None), as_json=as_json)
