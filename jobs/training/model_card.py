"""Card of a model: the metadata saved beside its weights."""

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
    """Build the card of a network: what a scorer needs, and notes for people."""
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
            *notes_of_author_fraction(spec.author_fraction),
        ],
        "share": spec.author_fraction,
        **({"continued_from": str(spec.start)} if spec.start else {}),
    }


def sources_of(store: Store) -> list[str]:
    """Distinct sources of the posts, sorted."""
    tables = posts_table(store).scan(["source"])
    return sorted({source for rows in tables for source in rows["source"].unique().to_pylist()})


def notes_of(feature_set: FeatureSet, sources: list[str]) -> list[str]:
    """Notes on the training data, for any kind of model."""
    notes = notes_of_sources(sources)
    random = [spec.name for spec in feature_set.specs if spec.params().get("weights") == RANDOM]
    if random:
        notes.append(f"random weights in {', '.join(random)}: their vectors carry no learned meaning")
    return notes


def absent(available: Sequence[Stream], used: Sequence[Stream]) -> list[str]:
    """Names of the streams that the model lacks because no training post has them."""
    return [stream.name for stream in available if stream not in used]


def notes_of_absent(available: Sequence[Stream], used: Sequence[Stream]) -> list[str]:
    """Note on absent streams."""
    missing = absent(available, used)
    return [f"no training post has {', '.join(missing)}: the model does not look at it"] if missing else []


def notes_of_author_fraction(fraction: float) -> list[str]:
    """Note on a model that was trained on some of the authors only."""
    return (
        [f"trained on {fraction:.0%} of the training authors, to see what more of them bring"] if fraction < 1 else []
    )


def notes_of_sources(sources: list[str]) -> list[str]:
    """Note on synthetic posts."""
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
