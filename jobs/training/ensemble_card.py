"""Card of an ensemble, and the summary lines of its members."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import viral
from jobs.training.ensemble_member import MemberTask, TrainedMember
from jobs.training.model_card import absent, notes_of, notes_of_absent, notes_of_author_fraction, sources_of
from viral.datasets.labelled_features import Statistics
from viral.datasets.streams import streams_of
from viral.extractors.feature_set import FeatureSet
from viral.models.ensemble.member import log_loss, squared_loss
from viral.models.mixing import MixingWeights, mix
from viral.models.predictions import PredictionBatch
from viral.storage.store import Store

ALL_MEMBERS = "together"  # key of the metrics of the weighted mean


def ensemble_card(
    feature_set: FeatureSet,
    label: Mapping[str, Any],
    task: MemberTask,
    statistics: Statistics,
    trained: Sequence[TrainedMember],
    weights: MixingWeights,
    store: Store,
) -> dict[str, Any]:
    """Build the card: what a scorer needs besides the arrays, and notes for people."""
    sources, streams, used = sources_of(store), streams_of(feature_set), task.layout.streams
    return {
        "kind": "ensemble",
        "config": {"streams": [asdict(stream) for stream in task.layout.streams]},
        "target": asdict(task.scaling),
        "members": members_of(task, trained, weights),
        "feature_set": feature_set.to_dict(),
        "absent": absent(streams, used),
        "label": dict(label),
        "seed": task.seed,
        "workers": task.workers,
        "rows": statistics.rows,
        "data_hash": statistics.data_hash,
        "code_version": viral.__version__,
        "sources": sources,
        "share": task.data.author_fraction,
        "notes": [
            *notes_of(feature_set, sources),
            *notes_of_absent(streams, used),
            *_notes_of_samples(task, trained),
            *notes_of_author_fraction(task.data.author_fraction),
        ],
    }


def members_of(task: MemberTask, trained: Sequence[TrainedMember], weights: MixingWeights) -> dict[str, Any]:
    """Weights, settings, training limit and validation metrics of member member, by name."""
    return {
        member.name: {
            "weights": weights.to_dict(index),
            "settings": member.settings,
            "limit": task.limit(member.name),
            "learnt_from_a_sample": task.limit(member.name) < task.rows,
            "validation": validation_metrics(member.predictions, member, task.scaling.scale),
        }
        for index, member in enumerate(trained)
    }


def validation_metrics(predictions: PredictionBatch, labels: TrainedMember, unit: float) -> dict[str, float]:
    """Log loss of the probability and root mean squared error of the score, in the label's units."""
    rmse = squared_loss(predictions.score, labels.score) ** 0.5 * unit
    return {"log_loss": log_loss(predictions.probability, labels.viral), "rmse": rmse}


def member_lines(card: Mapping[str, Any], trained: Sequence[TrainedMember], weights: MixingWeights) -> dict[str, str]:
    """One line per member for the command's summary, and one for all members together."""
    lines = {
        name: f"{_format_weights(member['weights'])}; {_format_metrics(member['validation'])}"
        for name, member in card["members"].items()
    }
    mixed = mix([member.predictions for member in trained], weights)
    metrics = validation_metrics(mixed, trained[0], card["target"]["scale"])
    return lines | {ALL_MEMBERS: _format_metrics(metrics)}


def _format_weights(weights: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {value:.2f}" for name, value in weights.items())


def _format_metrics(metrics: Mapping[str, float]) -> str:
    return f"validation log loss {metrics['log_loss']:.4f}, RMSE {metrics['rmse']:.4f}"


def _notes_of_samples(task: MemberTask, trained: Sequence[TrainedMember]) -> list[str]:
    limits = {member.name: task.limit(member.name) for member in trained}
    sampled = [f"{name} from {limit:,}" for name, limit in limits.items() if limit < task.rows]
    return (
        [f"of {task.rows:,} training posts some members learnt from a sample: {', '.join(sampled)}"] if sampled else []
    )
