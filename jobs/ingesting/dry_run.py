"""Rows as an ingest would store them, and the list of known exporters."""

from __future__ import annotations

from typing import Any

import click

from jobs.ingesting.files import find_files
from jobs.ingesting.source import IngestSource, first_rows, guessed_map
from viral.console.output import to_json
from viral.sources import shipped_maps
from viral.sources.checks import list_warnings
from viral.tables.schemas import POSTS


def print_first_rows(source: IngestSource, count: int, *, as_json: bool) -> None:
    """Print the first rows as they would be stored, with the rejects and warnings among them."""
    found = find_files(source.kind, source.files)
    batches, findings = first_rows(source, found, count)
    posts = [post for batch in batches for post in source.complete(batch.posts).slice(0, count).to_pylist()][:count]
    columns = ["file", "row", "reason"]
    rejects = [reject for batch in batches for reject in batch.rejects.select(columns).slice(0, count).to_pylist()][
        :count
    ]
    maps, warnings = list(dict.fromkeys(batch.source for batch in batches)), list_warnings(findings)
    texts, guessed = [_as_text(post) for post in posts], guessed_map(source, found)
    if as_json:
        shown = {"maps": maps, "guessed": guessed, "posts": texts, "rejects": rejects, "warnings": warnings}
        click.echo(to_json(shown))
        return
    click.echo(f"read with {', '.join(maps)}; nothing is stored")
    if guessed:
        click.echo("\nThe exporter is unknown: columns are read by their names, as with this map file (--map-file):\n")
        click.echo(dump_map(guessed).rstrip())
    width = max(map(len, POSTS.names))
    for post in texts:
        click.echo("\n" + "\n".join(f"{name:<{width}}  {value}" for name, value in post.items() if value is not None))
    for reject in rejects:
        click.echo(f"\nrejected: row {reject['row']} of {reject['file']}: {reject['reason']}")
    for warning in warnings:
        click.echo(f"\nwarning: {warning}")


def dump_map(columns: dict[str, Any]) -> str:
    """Write columns as a map file."""
    import yaml

    text: str = yaml.safe_dump(columns, allow_unicode=True, sort_keys=False, width=1000)  # one line per column
    return text


def list_maps(*, as_json: bool) -> None:
    """Print the exporters whose files are recognised."""
    maps = {name: shipped_maps()[name].about for name in sorted(shipped_maps())}
    if as_json:
        click.echo(to_json(maps))
        return
    width = max(map(len, maps))
    for name, about in maps.items():
        click.echo(f"{name:<{width}}  {about}")


def _as_text(post: dict[str, Any]) -> dict[str, Any]:
    return {name: value.isoformat() if hasattr(value, "isoformat") else value for name, value in post.items()}
