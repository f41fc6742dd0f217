"""`viral monitor`: its commands by name."""

from __future__ import annotations

import click

from viral.console.commands import LazyGroup

COMMANDS = {
    "run": ("viral.monitor.commands.run", "Watch feeds; alert by console, mail or webhook."),
    "label": ("viral.monitor.commands.label", "Sample frames of videos, to sort into examples and negatives."),
    "target": ("viral.monitor.commands.target", "Add, list, show and remove what is looked for."),
    "sightings": ("viral.monitor.commands.sightings", "List what was found, the newest first."),
    "review": ("viral.monitor.commands.review", "Confirm or reject a sighting."),
    "evidence": ("viral.monitor.commands.evidence", "Export the evidence of a sighting as a ZIP file."),
    "verify": ("viral.monitor.commands.verify", "Check an exported bundle of evidence."),
}


@click.group(cls=LazyGroup, table=COMMANDS)
def command() -> None:
    """Watch feeds for targets (a face, a flag, a logo), and alert with evidence.

    An alert is a possible match: verify it.
    """
