"""Targets: what the watch looks for, each a detector with its versions in the root."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

import numpy as np

from viral.errors import ConfigError, UsageError
from viral.monitor.detector.backbone import SHORT_SIDE
from viral.monitor.detector.decision import CleanScores, DecisionRule, Scores
from viral.monitor.detector.examples import ExampleFrame, Images, NegativeFrames
from viral.monitor.detector.face_network import FACES
from viral.monitor.detector.head import Head
from viral.monitor.detector.network import WindowNetwork
from viral.monitor.evidence import MANIFEST, read_bundle, to_json
from viral.storage.store import Store, read_json
from viral.tables.places import check_name
from viral.tables.sightings import CONFIRMED, REJECTED, sightings_table

_PREFIX = "monitor/targets"


@dataclass(frozen=True)
class TargetCard:
    """What is stored of one version of a target beside its weights.

    `examples` and `negatives` are the folders that it was trained on, `purpose` is why somebody looks for it;
    `location` and `scale` are those of `CleanScores`.
    """

    name: str
    version: int
    created_at: str
    purpose: str
    backbone: str
    weights: str
    threshold: float
    needed: int
    window: int
    location: float
    scale: float
    examples: str
    negatives: str
    scorecard: dict[str, Any] = field(default_factory=dict)

    @property
    def model(self) -> str:
        """The version as sightings name it."""
        return f"{self.name}/{self.version}"

    @property
    def is_face(self) -> bool:
        """Whether it is a person's face."""
        return self.backbone == FACES


@dataclass(frozen=True)
class Detector:
    """A loaded target: scores frames, and decides on a video."""

    card: TargetCard
    head: Head
    rule: DecisionRule

    def frame_scores(self, network: WindowNetwork, frames: Images) -> Scores:
        """Scores (T,) of frames uint8 (T, H, W, 3)."""
        return self.head.frame_scores(network.windows(frames))

    def confidence(self, score: float) -> float:
        """Fraction of clean videos that are expected to score less than `score`."""
        return CleanScores(self.card.location, self.card.scale).confidence(score)


def target_names(store: Store) -> list[str]:
    """Names of the targets of a root."""
    keys = [info.key for info in store.objects(_PREFIX) if info.key.endswith(".json")]
    return sorted({key.split("/")[-2] for key in keys})


def versions(store: Store, name: str) -> list[int]:
    """Versions of a target, from old to new; none if there is no such target."""
    prefix = f"{_PREFIX}/{check_name(name)}"
    keys = [info.key for info in store.objects(prefix) if info.key.endswith(".json")]
    return sorted(int(key.rpartition("/")[2].removesuffix(".json")) for key in keys)


def save_target(store: Store, card: TargetCard, head: Head) -> None:
    """Store a version: weights first, so that each card has its weights.

    Raises:
        ConfigError: another process stored this version meanwhile.
    """
    from safetensors.numpy import save

    prefix = f"{_PREFIX}/{check_name(card.name)}/{card.version:04d}"
    tensors = {name: np.ascontiguousarray(array) for name, array in head.tensors().items()}
    store.write(f"{prefix}.safetensors", save(tensors))
    if not store.write_new(f"{prefix}.json", to_json(asdict(card))):
        raise ConfigError(f"somebody else has stored {card.model} meanwhile: run the command again")


def read_card(store: Store, name: str) -> TargetCard:
    """Read the card of the newest version of a target.

    Raises:
        UsageError: there is no such target.
    """
    found = versions(store, name)
    if not found:
        others = ", ".join(target_names(store)) or "none"
        raise UsageError(f"there is no target {name!r} in {store.root}: there are {others} (viral monitor target list)")
    card = read_json(store, f"{_PREFIX}/{name}/{found[-1]:04d}.json")
    assert card is not None
    return TargetCard(**card)


def load_detector(store: Store, name: str) -> Detector:
    """Load the newest version of a target. Raises UsageError if there is no such target."""
    from safetensors.numpy import load

    card = read_card(store, name)
    tensors = load(store.read(f"{_PREFIX}/{name}/{card.version:04d}.safetensors"))
    return Detector(card, Head.from_tensors(tensors), DecisionRule(card.threshold, card.needed, card.window))


def check_faces(card: TargetCard, *, on: bool) -> None:
    """Refuse a face target unless faces are switched on. Raises UsageError."""
    if card.is_face and not on:
        raise UsageError(
            f"{card.name} is the face of a person, and face targets are off: switch them on with --faces or "
            "VIRAL_MONITOR__FACES=true, if the law and your rules allow it"
        )


def remove_target(store: Store, name: str) -> int:
    """Delete all versions of a target and return their number; its sightings and their evidence stay.

    Raises:
        UsageError: there is no such target.
    """
    read_card(store, name)
    count = len(versions(store, name))
    store.delete_below(f"{_PREFIX}/{name}")
    return count


def new_card(store: Store, name: str, **fields: Any) -> TargetCard:
    """Create the card of the next version of a target."""
    version = max(versions(store, name), default=0) + 1
    return TargetCard(name=name, version=version, created_at=datetime.now(UTC).isoformat(timespec="seconds"), **fields)


def reviewed_frames(store: Store, name: str) -> tuple[list[ExampleFrame], list[NegativeFrames]]:
    """Frames of the sightings of a target that a person confirmed, and for each rejected one its frames.

    Sightings whose evidence was deleted are left out.
    """
    examples: list[ExampleFrame] = []
    negatives: list[NegativeFrames] = []
    for row in sightings_table(store).read().to_pylist():
        if row["target"] == name and row["evidence_sha256"] and row["status"] in (CONFIRMED, REJECTED):
            frames = _evidence_frames(store, row["sighting_id"])
            if row["status"] == REJECTED:
                negatives.append(NegativeFrames(np.stack(frames), row["sighting_id"]))
            else:
                examples += [ExampleFrame(frame, row["sighting_id"]) for frame in frames]
    return examples, negatives


def _evidence_frames(store: Store, sighting: str) -> Sequence[Images]:
    from PIL import Image

    files = read_bundle(store, sighting)
    frames = []
    for frame in json.loads(files[MANIFEST])["frames"]:
        picture = Image.open(io.BytesIO(files[frame["file"]])).convert("RGB")
        scale = SHORT_SIDE / min(picture.size)
        size = tuple(round(length * scale) for length in picture.size)
        frames.append(np.array(picture.resize((size[0], size[1]), Image.Resampling.BILINEAR)))
    return frames
