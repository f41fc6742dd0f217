"""What is saved beside a model's weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import viral
from viral.datasets.labelled_features import Statistics
from viral.datasets.streams import Stream
from viral.extractors.feature_set import FeatureSet
from viral.storage.store import Store
from viral.tables.places import posts_table
from viral.tables.schemas import SYNTHETIC
from viral.weights.resolve import RANDOM

if TYPE_CHECKING:
    from jobs.training.network_worker import NetworkTask
    from jobs.training.specs import TrainSpec


def model_card(
    spec: TrainSpec,
    task: NetworkTask,
    statistics: Statistics,
    label: dict[str, Any],
    sources: list[str],
    state: dict[str, Any],
) -> dict[str, Any]:
    """All that the model is made of: what a scorer needs, and what its reader must know."""
    return {
        "kind": "network",
        "config": asdict(task.model),
        "train": asdict(task.train),
        "target": asdict(task.scaling),
        "feature_set": spec.feature_set.to_dict(),
        "absent": absent(spec.streams, task.model.streams),
        "label": label,
        "workers": spec.workers,
        "rows": statistics.rows,
        "data_hash": statistics.data_hash,
        "code_version": viral.__version__,
        "sources": sources,
        "epochs": state["epoch"],
        "best_epoch": state["best_epoch"],
        "losses": state["losses"],
        "notes": [
            *notes_of(spec.feature_set, sources),
            *notes_of_absent(spec.streams, task.model.streams),
            *_notes_of_split(spec, label["split"]["kind"]),
            *_notes_of_start(spec, label),
            *notes_of_share(spec.share),
        ],
        "share": spec.share,
        **({"continued_from": str(spec.start)} if spec.start else {}),
    }


def sources_of(store: Store) -> list[str]:
    """The sources of the posts, by name: a distinct list, bucket by bucket."""
    found: set[str] = set()
    for rows in posts_table(store).scan(["source"]):
        found.update(rows["source"].unique().to_pylist())
    return sorted(found)


def notes_of(feature_set: FeatureSet, sources: list[str]) -> list[str]:
    """What the reader of any model must know of what it was trained on."""
    notes = notes_of_sources(sources)
    random = [each.name for each in feature_set.specs if each.params().get("weights") == RANDOM]
    if random:
        notes.append(f"random weights in {', '.join(random)}: their vectors carry no learned meaning")
    return notes


def absent(wanted: Sequence[Stream], seen: Sequence[Stream]) -> list[str]:
    """The streams that a model could have looked at, if any training post had them."""
    return [stream.name for stream in wanted if stream not in seen]


def notes_of_absent(wanted: Sequence[Stream], seen: Sequence[Stream]) -> list[str]:
    """What must be known of them."""
    missing = absent(wanted, seen)
    return [f"no training post has {', '.join(missing)}: the model does not look at it"] if missing else []


def notes_of_share(share: float) -> list[str]:
    """What must be known of a model that was not shown all training posts."""
    return [f"trained on {share:.0%} of the training authors, to see what more of them bring"] if share < 1 else []


def notes_of_sources(sources: list[str]) -> list[str]:
    """What must be known of where the posts came from."""
    return ["trained on a synthetic corpus: its scores say nothing of real videos"] if SYNTHETIC in sources else []


def _notes_of_split(spec: TrainSpec, kind: str) -> list[str]:
    if spec.architecture != "sound" or kind == "sound":
        return []
    return [f"its labels are split by {kind}: unless each is of a sound of its own, a sound may lie on both sides"]


def _notes_of_start(spec: TrainSpec, label: dict[str, Any]) -> list[str]:
    before = spec.start.card["label"] if spec.start else label
    if before["split"] == label["split"] and before["name"] == label["name"]:
        return []
    return [f"continued from {spec.start}, trained on {before['name']} split otherwise: it may know its test posts"]
