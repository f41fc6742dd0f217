"""Save a trained video network as a model for scorers."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import viral
from jobs.training.model_card import notes_of_sources, sources_of
from viral.datasets.labelled_videos import VideoCounts
from viral.extractors.clip_network import as_clip_network, clip_network
from viral.extractors.feature_set import ExtractorEntry, FeatureSet
from viral.models.video_config import VideoConfig
from viral.registry.registry import Registry
from viral.storage.store import Store
from viral.weights.pinned import pin_uri
from viral.weights.resolve import RANDOM
from viral.weights.root import SCHEME

if TYPE_CHECKING:
    from jobs.training.specs import VideoSpec
    from jobs.training.video_worker import VideoTask

BACKBONE = "backbone.safetensors"  # file beside the model's weights


def save(
    store: Store, spec: VideoSpec, task: VideoTask, counts: VideoCounts, label: dict[str, Any], state: dict[str, Any]
) -> int:
    """Save the best epoch: the heads as the model, the backbone as weights of its feature set. Returns the version."""
    from safetensors.torch import save as to_bytes

    registry = Registry(store)
    # Two files: heads score vectors of the backbone, and the backbone is an extractor like any other.
    heads: bytes = to_bytes(_strip("heads.", state["best"]))
    backbone = as_clip_network(spec.backbone).serialize(_strip("backbone.", state["best"]), task.resolve)
    card = _card(spec, task, counts, label, state, sources_of(store))
    # Claimed first, because the feature set names the backbone by the key of this version.
    version = registry.claim(spec.name)
    key = f"{SCHEME}{registry.key(spec.name, version, BACKBONE)}"
    weights = pin_uri(key, hashlib.sha256(backbone).hexdigest())
    trained = clip_network(spec.backbone.name, spec.backbone.params() | {"weights": weights})
    feature_set = FeatureSet(f"{spec.name}-{version}", (ExtractorEntry(trained),)).to_dict()
    return registry.save(
        spec.name, card | {"feature_set": feature_set}, heads, version=version, files={BACKBONE: backbone}
    )


def _strip(prefix: str, state: Mapping[str, Any]) -> dict[str, Any]:
    return {name.removeprefix(prefix): value.contiguous() for name, value in state.items() if name.startswith(prefix)}


def _card(
    spec: VideoSpec,
    task: VideoTask,
    counts: VideoCounts,
    label: dict[str, Any],
    state: dict[str, Any],
    sources: list[str],
) -> dict[str, Any]:
    """Build the card, except for the feature set, whose name depends on the version."""
    return {
        "kind": "network",
        "config": asdict(task.heads),
        "train": asdict(task.train),
        "target": asdict(task.scaling),
        "backbone": {"name": spec.backbone.name, "params": spec.backbone.params()},
        "label": label,
        "workers": spec.workers,
        "rows": sum(counts.posts["train"]),
        "data_hash": counts.data_hash,
        "code_version": viral.__version__,
        "sources": sources,
        "epochs": state["epoch"],
        "best_epoch": state["best_epoch"],
        "losses": state["losses"],
        "skipped": state["skipped"],
        "notes": _notes(spec, task.train, sources),
    }


def _notes(spec: VideoSpec, config: VideoConfig, sources: list[str]) -> list[str]:
    notes = notes_of_sources(sources)
    if as_clip_network(spec.backbone).weights == RANDOM:
        notes.append(f"its {spec.backbone.name} began at random weights: it learned from these videos alone")
    if config.task == "viral":
        notes.append("trained on P(viral) alone: the score of every video is the mean of the training posts")
    if config.task == "score":
        notes.append("trained on the score alone: P(viral) is derived from the score and not calibrated")
    return notes
