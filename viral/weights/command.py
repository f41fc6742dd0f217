"""`viral weights`: which weights there are; fetch them once, or put them by hand, for all nodes of a root."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import ParamSpec, TypeVar

import click

from viral.errors import WeightsError
from viral.storage.store import Store
from viral.weights.cache import (
    checked,
    find_here,
    keep,
    made_once,
    staging,
    weights_folder,
    write_manifest,
)
from viral.weights.catalogue import Known, KnownWeights
from viral.weights.download import bring
from viral.weights.listing import lines, listed
from viral.weights.manifest import Manifest
from viral.weights.resolve import named
from viral.weights.root import RootWeights

P = ParamSpec("P")
R = TypeVar("R")


@click.group()
def command() -> None:
    """Pretrained weights: in the root, where all nodes read them, or without --root on this machine.

    There they are in $VIRAL_WEIGHTS, by default ~/.cache/viral/weights. Only `fetch` opens a connection.
    """


def _options(function: Callable[P, R]) -> Callable[P, R]:
    for option in (
        click.option("--debug", is_flag=True, help="Show traces of errors."),
        click.option("--root", envvar="VIRAL_ROOT", help="Folder or s3://bucket/prefix; absent: this machine."),
    ):
        function = option(function)
    return function


@command.command("list")
@click.option("--json", "as_json", is_flag=True, help="A JSON object for each, one a line.")
@_options
def list_weights(root: str | None, as_json: bool, debug: bool) -> None:
    """The known weights: name, size, licence, SHA-256, and where they are."""
    del debug  # read by the caller of all commands
    rows = list(listed(_store(root)))
    for line in [json.dumps(dataclasses.asdict(row)) for row in rows] if as_json else lines(rows):
        click.echo(line)


@command.command("fetch")
@click.argument("names", nargs=-1, required=True)
@click.option("--from", "source", help="Another address than the publisher's, of a single file.")
@click.option("--accept-licence", "accepted", is_flag=True, help="Of weights that may not be used commercially.")
@_options
def fetch_weights(names: tuple[str, ...], source: str | None, accepted: bool, root: str | None, debug: bool) -> None:
    """Download weights once from where they are published, checked by their hash."""
    del debug
    store = _store(root)
    for known in [named(name) for name in names]:
        click.echo(f"{known.name:<24} {fetch(known, store, source, accepted=accepted)}")


@command.command("put")
@click.argument("name")
@click.argument("path", type=click.Path(path_type=Path))
@_options
def put_weights(name: str, path: Path, root: str | None, debug: bool) -> None:
    """Take weights from a file or a folder that was brought here by hand, checked by their hash."""
    del debug
    click.echo(f"{name:<24} {put(named(name), path, _store(root))}")


def fetch(known: Known, store: Store | None = None, source: str | None = None, *, accepted: bool = False) -> str:
    """Bring published weights into a root, or onto this machine; where they are already, nothing is done.

    Args:
        known: what to bring.
        store: the root; None: this machine.
        source: an address or a file to take them from; by default where they are published.
        accepted: that their user accepts a licence without commercial use.

    Returns:
        Where they are.

    Raises:
        WeightsError: a licence to accept, they cannot be had, or what came is not what was published.
    """
    licence = known.licence
    if not (licence.commercial or accepted):
        raise WeightsError(
            f"{known.name} is {licence.name}, not for commercial use ({licence.stated}): "
            "if that fits your use, add --accept-licence"
        )
    if store is None:
        final = weights_folder() / known.name
        folder = find_here(known) or made_once(final, lambda folder: _brought(known, folder, source))
        return str(known.inside(checked(known, folder) if folder == final else folder))
    root = RootWeights(store)
    there = root.manifest(known)
    if there and not root.fault(known, there):
        return root.uri(known)
    with staging(weights_folder() / known.name) as folder:
        manifest = _brought(known, folder, source)
        return root.put(known, {file: folder / file for file in known.files}, manifest)


def put(known: Known, path: Path, store: Store | None = None) -> str:
    """Copy weights from a file or a folder into a root, or onto this machine; says where they are.

    Raises:
        WeightsError: something is missing, is not what was published, or others are there.
    """
    if path.is_file() and isinstance(known, KnownWeights):
        paths = {known.file: path}
    elif path.is_dir():
        paths = {file: path / file for file in known.files}
    else:
        expected = "the file or a folder that holds" if isinstance(known, KnownWeights) else "a folder that holds"
        raise WeightsError(f"{path} is not what {known.name} needs: give {expected} {', '.join(known.files)}")
    manifest = Manifest.of(known, paths, str(path.absolute()))
    if store:
        return RootWeights(store).put(known, paths, manifest)
    return str(known.inside(keep(known, paths, manifest)))


def _brought(known: Known, folder: Path, source: str | None) -> Manifest:
    source = bring(known, folder, source)
    shutil.rmtree(folder / ".cache", ignore_errors=True)  # the hub's own notes
    manifest = Manifest.of(known, {file: folder / file for file in known.files}, source)
    write_manifest(folder, manifest)
    return manifest


def _store(root: str | None) -> Store | None:
    return Store.open(root) if root else None
