"""Card of a model: the metadata saved beside its weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import viral
from viral.datasets.dates import left_out
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
    """Build the card of a network: the metadata that a scorer needs, and notes for its users."""
    return {
        "kind": "network",
        "config": asdict(task.model),
        "train": asdict(task.train),
        "target": asdict(task.scaling),
        "feature_set": spec.feature_set.to_dict(),
        "absent": absent(spec.streams, task.model.streams),
        "label": label,
        "workers": spec.workers,
        "left_out": left_out(statistics),
        "rows": statistics.rows,
        "data_hash": statistics.data_hash,
        "code_version": viral.__version__,
        "sources": sources,
        "epochs": state["epoch"],
        "best_epoch": state["best_epoch"],
        "losses": state["losses"],
        "notes": [
            *notes_of(spec.feature_set, sources, spec.streams, task.model.streams, spec.author_fraction),
            *_notes_of_labels(spec, label),
        ],
        "share": spec.author_fraction,
        # Only in cards of continued models: the audit follows it, and --refit refuses it.
        **({"continued_from": str(spec.start)} if spec.start else {}),
    }


def sources_of(store: Store) -> list[str]:
    """Return the distinct sources of the posts, sorted."""
    tables = posts_table(store).scan(["source"])
    return sorted({source for rows in tables for source in rows["source"].unique().to_pylist()})


def absent(available: Sequence[Stream], used: Sequence[Stream]) -> list[str]:
    """Return the names of streams that the model does not use because no training post has them."""
    return [stream.name for stream in available if stream not in used]


def notes_of(
    feature_set: FeatureSet,
    sources: list[str],
    available: Sequence[Stream],
    used: Sequence[Stream],
    author_fraction: float,
) -> list[str]:
    """Return the notes on the training data of a model on a feature table."""
    random = ", ".join(spec.name for spec in feature_set.specs if spec.params().get("weights") == RANDOM)
    missing = ", ".join(absent(available, used))
    notes = (
        (random, f"random weights in {random}: their vectors carry no learned meaning"),
        (missing, f"no training post has {missing}: the model ignores it"),
        (author_fraction < 1, f"trained on {author_fraction:.0%} of the training authors, for a learning curve"),
    )
    return [*notes_of_sources(sources), *(note for applies, note in notes if applies)]


def notes_of_sources(sources: list[str]) -> list[str]:
    """Return a note if there are synthetic posts."""
    return ["trained on a synthetic corpus: its scores say nothing about real videos"] if SYNTHETIC in sources else []


def _notes_of_labels(spec: TrainSpec, label: dict[str, Any]) -> list[str]:
    kind, before = label["split"]["kind"], spec.start.card["label"] if spec.start else label
    notes = []
    if spec.architecture == "sound" and kind != "sound":
        notes.append(f"labels are split by {kind}, not by sound: posts with the same sound may be in different splits")
    if before["split"] != label["split"] or before["name"] != label["name"]:
        text = f"continued from {spec.start}, trained on {before['name']} or with another split"
        notes.append(f"{text}: it may have seen test posts")
    return notes
