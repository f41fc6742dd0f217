"""`viral monitor target`: add, list, show and remove targets."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from viral.config import Settings, load
from viral.console.options import root_options
from viral.console.output import print_summary, to_json
from viral.errors import ConfigError
from viral.monitor.detector.backbone import BACKBONES
from viral.monitor.detector.examples import read_examples, read_negatives
from viral.monitor.detector.face_network import FACES, FaceNetwork
from viral.monitor.detector.face_training import train_face
from viral.monitor.detector.network import WindowNetwork, open_network
from viral.monitor.detector.training import TrainedDetector, encode_target, train_detector
from viral.monitor.targets import (
    TargetCard,
    check_faces,
    new_card,
    read_card,
    remove_target,
    reviewed_frames,
    save_target,
    target_names,
    versions,
)
from viral.storage.store import Store
from viral.weights.manifest import file_digest
from viral.weights.pinned import pin_uri
from viral.weights.root import RootWeights

_FOLDER = click.Path(file_okay=False, path_type=Path)


@click.group()
def command() -> None:
    """Targets that the watch looks for: things, such as a flag or a logo; faces of named persons if switched on."""


@command.command("add")
@click.argument("name")
@click.option("--examples", type=_FOLDER, help="Images and clips that show the target; 20 are enough for a logo.")
@click.option("--negatives", type=_FOLDER, help="Clips like those of the feeds, without the target.")
@click.option("--purpose", help="Why it is looked for; stored with every sighting.")
@click.option("--backbone", type=click.Choice(BACKBONES), help="Image network; default: efficientnet_lite0.")
@click.option("--weights", help="`imagenet` (default), or `random` to try the pipeline; of --face: SFace's ONNX file.")
@click.option("--face", is_flag=True, help="The target is the face of the person NAME; --purpose must say why.")
@click.option(
    "--false-alerts",
    "tolerated",
    type=click.FloatRange(min=0, max=0.5, min_open=True),
    default=0.01,
    show_default=True,
    help="Tolerated false alerts per video: alerts per day divided by videos per day.",
)
@click.option("--any-frame", is_flag=True, help="Decide on a single frame; default: 3 of 5 consecutive ones.")
@root_options
def add(
    name: str,
    examples: Path | None,
    negatives: Path | None,
    purpose: str | None,
    backbone: str | None,
    weights: str | None,
    face: bool,
    tolerated: float,
    any_frame: bool,
    root: str,
    as_json: bool,
    debug: bool,
) -> None:
    """Train a new version of target NAME. What is not given is that of the version before.

    Sightings that were confirmed are examples, too, and rejected ones negatives.
    """
    del debug  # handled by the caller of all commands
    store, settings = Store.open(root), load()
    before = read_card(store, name) if versions(store, name) else None
    if face or (before and before.is_face):
        backbone, weights = _face_options(name, before, face=face or settings.monitor.faces, weights=weights)
    given = {"examples": examples, "negatives": negatives, "purpose": purpose, "backbone": backbone, "weights": weights}
    chosen = _Choices(before, **given)
    if chosen["backbone"] == FACES and not chosen["purpose"].strip():
        raise ConfigError(f"say why the face of {name} is looked for: --purpose TEXT; it is stored with each sighting")
    network = open_network(chosen["backbone"], RootWeights(store), chosen["weights"])
    rule = (1, 1) if any_frame else (3, 5)
    trained = _train(network, store, settings, name, chosen, tolerated, rule)
    parts = {**dataclasses.asdict(trained.rule), **dataclasses.asdict(trained.clean)}
    saved = new_card(store, name, **chosen, **parts, scorecard=dataclasses.asdict(trained.card))
    save_target(store, saved, trained.head)
    print_summary(saved, as_json=as_json)


def _train(
    network: WindowNetwork,
    store: Store,
    settings: Settings,
    name: str,
    chosen: Mapping[str, str],
    tolerated: float,
    rule: tuple[int, int],
) -> TrainedDetector:
    confirmed, rejected = reviewed_frames(store, name)
    shown = read_examples(Path(chosen["examples"]), settings)
    clean = [*read_negatives(Path(chosen["negatives"]), settings), *rejected]
    if isinstance(network, FaceNetwork):
        # Without the confirmed frames: others may be on them, whose faces are none of this target's.
        return train_face(network, shown, clean, tolerated, rule)
    return train_detector(encode_target(network, [*shown, *confirmed], clean), tolerated, rule)


def _face_options(name: str, before: TargetCard | None, *, face: bool, weights: str | None) -> tuple[str, str]:
    """Network and weights of a face target."""
    if before and not before.is_face:
        raise ConfigError(f"{name} is a thing: give the face another name, or remove it first")
    if before:
        check_faces(before, on=face)
    if weights is None:
        if before is None:
            raise ConfigError(
                "a face target needs SFace's weights: --weights face_recognition_sface_2021dec.onnx (OpenCV Zoo, "
                "Apache-2.0)"
            )
        return FACES, before.weights
    path = Path(weights).expanduser().absolute()
    if not path.is_file():
        raise ConfigError(f"there is no file {path}: give SFace's ONNX file (--weights)")
    # Pinned: other weights would give the stored description another meaning.
    return FACES, pin_uri(str(path), file_digest(path))


class _Choices(dict[str, str]):
    """Options of a version: those given, or of the version before."""

    def __init__(self, before: TargetCard | None, **given: Path | str | None) -> None:
        defaults: dict[str, Any] = {"backbone": BACKBONES[0], "weights": "imagenet", "purpose": ""}
        for name, value in given.items():
            text = str(value.expanduser().absolute()) if isinstance(value, Path) else value
            stored = getattr(before, name) if before else defaults.get(name)
            chosen = text if text is not None else stored
            if chosen is None:
                raise ConfigError(f"a new target needs --{name} DIR")
            self[name] = chosen


@command.command("list")
@root_options
def list_targets(root: str, as_json: bool, debug: bool) -> None:
    """List the targets, with what their newest versions found in files that they were not trained on."""
    del debug
    store = Store.open(root)
    cards = [read_card(store, name) for name in target_names(store)]
    for card in cards:
        measures = card.scorecard
        text = f"{card.model:<20}  recall {measures['recall']:.2f} of {measures['examples']} example frames"
        click.echo(to_json(dataclasses.asdict(card)) if as_json else f"{text}  {card.purpose}".rstrip())
    if not cards and not as_json:
        click.echo("no targets")


@command.command("show")
@click.argument("name")
@root_options
def show(name: str, root: str, as_json: bool, debug: bool) -> None:
    """Show the newest version of target NAME."""
    del debug
    print_summary(read_card(Store.open(root), name), as_json=as_json)


@command.command("remove")
@click.argument("name")
@root_options
def remove(name: str, root: str, as_json: bool, debug: bool) -> None:
    """Delete all versions of target NAME; its sightings and their evidence stay until their retention time."""
    del debug
    count = remove_target(Store.open(root), name)
    click.echo(to_json({"removed": name, "versions": count}) if as_json else f"removed {count} versions of {name}")
