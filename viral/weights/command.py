"""`viral weights`: list pretrained weights, download them (fetch), or add them from local files (put)."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import ParamSpec, TypeVar

import click

from viral.console.output import progress_bar
from viral.errors import WeightsError
from viral.storage.store import Store
from viral.weights.cache import (
    add_to_cache,
    fill_once,
    find_local,
    staging_folder,
    verify,
    weights_folder,
    write_manifest,
)
from viral.weights.catalogue import PretrainedWeights, WeightsFile
from viral.weights.download import download
from viral.weights.listing import format_rows, weights_rows
from viral.weights.manifest import Manifest
from viral.weights.resolve import catalogue_entry
from viral.weights.root import RootWeights

P = ParamSpec("P")
R = TypeVar("R")


@click.group()
def command() -> None:
    """Manage pretrained weights: in the root, where all nodes read them, or on this machine (without --root).

    The folder on a machine is $VIRAL_WEIGHTS, by default ~/.cache/viral/weights. Only `fetch` opens a connection.
    """


def _options(function: Callable[P, R]) -> Callable[P, R]:
    root = click.option("--root", envvar="VIRAL_ROOT", help="Folder or s3://bucket/prefix; default: this machine.")
    return root(click.option("--debug", is_flag=True, help="Show tracebacks.")(function))


@command.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per line.")
@_options
def list_weights(root: str | None, as_json: bool, debug: bool) -> None:
    """List the catalogue: name, size, licence, SHA-256, and whether the root and this machine have the weights."""
    del debug  # `execute` reads it for all commands
    rows = list(weights_rows(_store(root)))
    for line in [json.dumps(dataclasses.asdict(row)) for row in rows] if as_json else format_rows(rows):
        click.echo(line)


@command.command("fetch")
@click.argument("names", nargs=-1, required=True)
@click.option("--from", "source", help="Mirror address or local path of a single file, instead of the publisher's.")
@click.option("--accept-licence", "accepted", is_flag=True, help="Accept a licence without commercial use.")
@_options
def fetch_weights(names: tuple[str, ...], source: str | None, accepted: bool, root: str | None, debug: bool) -> None:
    """Download weights from their publisher and verify their hash."""
    del debug
    store = _store(root)
    failures = []
    for weights in [catalogue_entry(name) for name in names]:  # a wrong name fails before any download
        try:
            click.echo(f"{weights.name:<24} {fetch(weights, store, source, accepted=accepted)}")
        except WeightsError as error:
            failures.append(str(error))
    if failures:
        raise WeightsError("; ".join(failures))


@command.command("put")
@click.argument("name")
@click.argument("path", type=click.Path(path_type=Path))
@_options
def put_weights(name: str, path: Path, root: str | None, debug: bool) -> None:
    """Add weights from a local file or folder and verify their hash."""
    del debug
    click.echo(f"{name:<24} {put(catalogue_entry(name), path, _store(root))}")


def fetch(
    weights: PretrainedWeights, store: Store | None = None, source: str | None = None, *, accepted: bool = False
) -> str:
    """Download published weights into a root or onto this machine, unless present; return their path or URI.

    Args:
        weights: weights to download.
        store: the root; None for this machine.
        source: mirror address or local path; by default the publisher's address.
        accepted: whether the user accepts a licence without commercial use.

    Raises:
        WeightsError: the licence is not accepted, the download failed, or a hash differs from the published one.
    """
    licence = weights.licence
    if not (licence.commercial or accepted):
        raise WeightsError(
            f"the licence of {weights.name}, {licence.name}, forbids commercial use ({licence.url}): "
            "if you can accept that, add --accept-licence"
        )
    if store is None:
        # What is found elsewhere, in a package for example, is used from there and not copied.
        final = weights_folder() / weights.name
        folder = find_local(weights) or fill_once(final, lambda folder: _download(weights, folder, source))
        return str(weights.path_in(verify(weights, folder) if folder == final else folder))
    root = RootWeights(store)
    manifest = root.manifest(weights)
    if manifest and not root.mismatch(weights, manifest):  # complete in the root
        return root.uri(weights)
    # By way of this machine: only files whose hashes were verified are copied to the root.
    with staging_folder(weights_folder() / weights.name) as folder:
        manifest = _download(weights, folder, source)
        return root.put(weights, {file: folder / file for file in weights.files}, manifest)


def put(weights: PretrainedWeights, path: Path, store: Store | None = None) -> str:
    """Copy weights from a file or a folder into a root or onto this machine, and return their path or URI.

    Raises:
        WeightsError: a file is missing or differs from the published one, or the target has different content.
    """
    if path.is_file() and isinstance(weights, WeightsFile):
        paths = {weights.file: path}
    elif path.is_dir():
        paths = {file: path / file for file in weights.files}
    else:
        expected = "the file or a folder that holds" if isinstance(weights, WeightsFile) else "a folder that holds"
        raise WeightsError(f"cannot read {weights.name} from {path}: give {expected} {', '.join(weights.files)}")
    manifest = Manifest.from_published(weights, paths, str(path.absolute()))
    if store:
        return RootWeights(store).put(weights, paths, manifest)
    return str(weights.path_in(add_to_cache(weights, paths, manifest)))


def _download(weights: PretrainedWeights, folder: Path, source: str | None) -> Manifest:
    source = download(weights, folder, source, progress_bar(weights.files[0], unit="B"))
    shutil.rmtree(folder / ".cache", ignore_errors=True)  # metadata of huggingface_hub
    manifest = Manifest.from_published(weights, {file: folder / file for file in weights.files}, source)
    write_manifest(folder, manifest)
    return manifest


def _store(root: str | None) -> Store | None:
    return Store.open(root) if root else None
