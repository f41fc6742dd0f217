"""`viral weights`: the one place that downloads, and only when asked."""

from __future__ import annotations

import shutil
from pathlib import Path

import click
import httpx

from viral.cli import bar
from viral.errors import WeightsError
from viral.extractors.weights import KNOWN_WEIGHTS, HubModel, KnownWeights, file_digest, find_known, weights_folder
from viral.store import aside, one_line

SECONDS = 30.0  # without a byte, before a download is given up


@click.group()
def command() -> None:
    """Pretrained weights, kept in $VIRAL_WEIGHTS (by default ~/.cache/viral/weights)."""


@command.command("list")
def list_weights() -> None:
    """The known weights, and whether they are here."""
    for name in KNOWN_WEIGHTS:
        try:
            click.echo(f"{name:<24} {find_known(name)}")
        except WeightsError:
            click.echo(f"{name:<24} -")


@command.command("fetch")
@click.argument("names", nargs=-1, required=True)
@click.option("--from", "source", help="Another address, or a file copied here by hand, instead of the publisher's.")
def fetch_weights(names: tuple[str, ...], source: str | None) -> None:
    """Download weights once, checked against their published hash."""
    for name in names:
        click.echo(f"{name:<24} {fetch(name, source)}")


def fetch(name: str, source: str | None = None) -> Path:
    """Bring the weights `name` into the weights folder; where they are already, nothing is done.

    Args:
        name: one of KNOWN_WEIGHTS.
        source: an address or a file to take them from; by default where they are published.

    Raises:
        WeightsError: no such weights, they cannot be had, or what came is not what was published.
    """
    known = KNOWN_WEIGHTS.get(name)
    if known is None:
        raise WeightsError(f"no weights are named {name!r}: choose from {', '.join(KNOWN_WEIGHTS)}")
    if isinstance(known, HubModel):
        raise WeightsError(f"{name} has several files: copy them into {weights_folder() / name}")
    final = weights_folder() / known.file
    if not final.exists():
        with aside(final) as temporary:
            _bring(source or known.url, temporary)
            _check(known, temporary)
    return final


def _bring(source: str, to: Path) -> None:
    try:
        if source.startswith(("http://", "https://")):
            _download(source, to)
        else:
            shutil.copyfile(source, to)
    except (httpx.HTTPError, OSError) as error:
        fix = "copy the file here by hand and pass it with --from"
        raise WeightsError(f"{source} cannot be had ({one_line(error)}): {fix}") from error


def _download(url: str, to: Path) -> None:
    progress = bar(to.name, unit="B")
    with httpx.stream("GET", url, follow_redirects=True, timeout=SECONDS) as reply, to.open("wb") as file:
        reply.raise_for_status()
        total = int(reply.headers.get("content-length", 0))
        for chunk in reply.iter_bytes(1 << 20):
            file.write(chunk)
            progress(file.tell(), max(total, file.tell()))


def _check(known: KnownWeights, file: Path) -> None:
    if not file_digest(file).startswith(known.digest):
        raise WeightsError(f"what came for {known.name} is not what was published: its SHA-256 is another; try again")
