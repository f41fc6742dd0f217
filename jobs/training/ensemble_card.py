"""Card of an ensemble, and the summary lines of its members."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import numpy.typing as npt

import viral
from jobs.training.ensemble_member import MemberTask, TrainedMember
from jobs.training.model_card import absent, notes_of, sources_of
from viral.datasets.dates import left_out
from viral.datasets.labelled_features import Statistics
from viral.datasets.streams import streams_of
from viral.extractors.feature_set import FeatureSet
from viral.models.ensemble.member import log_loss, squared_loss
from viral.models.mixing import MixingWeights, mix
from viral.models.predictions import Floats, PredictionBatch
from viral.storage.store import Store

ALL_MEMBERS = "together"  # in summaries, the line of the weighted mean of all members


def ensemble_card(
    feature_set: FeatureSet,
    label: Mapping[str, Any],
    task: MemberTask,
    statistics: Statistics,
    trained: Sequence[TrainedMember],
    weights: MixingWeights,
    store: Store,
) -> dict[str, Any]:
    """Build the card: the metadata that a scorer needs besides the arrays, and notes for its users."""
    # `streams` are those of the feature set, `used` those with a vector in training.
    sources, streams, used = sources_of(store), streams_of(feature_set), task.layout.streams
    return {
        "kind": "ensemble",
        "config": {"streams": [asdict(stream) for stream in used]},
        "target": asdict(task.scaling),
        "members": members_of(task, trained, weights),
        "feature_set": feature_set.to_dict(),
        "absent": absent(streams, used),
        "label": dict(label),
        "seed": task.seed,
        "workers": task.workers,
        "left_out": left_out(statistics),
        "rows": statistics.rows,
        "data_hash": statistics.data_hash,
        "code_version": viral.__version__,
        "sources": sources,
        "share": task.data.author_fraction,
        "notes": [
            *notes_of(feature_set, sources, streams, used, task.data.author_fraction),
            *_notes_of_samples(task, trained),
        ],
    }


def members_of(task: MemberTask, trained: Sequence[TrainedMember], weights: MixingWeights) -> dict[str, Any]:
    """Return weights, settings, training limit and validation metrics of each member, by name."""
    return {
        member.name: {
            "weights": weights.to_dict(index),
            "settings": member.settings,
            "limit": task.limit(member.name),
            "learnt_from_a_sample": task.limit(member.name) < task.rows,
            "validation": validation_metrics(member.predictions, member.viral, member.score, task.scaling.scale),
        }
        for index, member in enumerate(trained)
    }


def validation_metrics(
    predictions: PredictionBatch, viral: npt.NDArray[np.bool_], score: Floats, unit: float = 1.0
) -> dict[str, float]:
    """Return the log loss of the probability and the RMSE of the score, in label units if `unit` is their scale."""
    rmse = squared_loss(predictions.score, score) ** 0.5 * unit
    return {"log_loss": log_loss(predictions.probability, viral), "rmse": rmse}


def member_lines(card: Mapping[str, Any], trained: Sequence[TrainedMember], weights: MixingWeights) -> dict[str, str]:
    """Return a line for the command's summary per member, and one for all members together."""
    lines = {
        name: f"{_format_weights(member['weights'])}; {_format_metrics(member['validation'])}"
        for name, member in card["members"].items()
    }
    mixed = mix([member.predictions for member in trained], weights)
    metrics = validation_metrics(mixed, trained[0].viral, trained[0].score, card["target"]["scale"])
    return lines | {ALL_MEMBERS: _format_metrics(metrics)}


def _format_weights(weights: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {value:.2f}" for name, value in weights.items())


def _format_metrics(metrics: Mapping[str, float]) -> str:
    return f"validation log loss {metrics['log_loss']:.4f}, RMSE {metrics['rmse']:.4f}"


def _notes_of_samples(task: MemberTask, trained: Sequence[TrainedMember]) -> list[str]:
    limits = {member.name: task.limit(member.name) for member in trained}
    sampled = [f"{name} on {limit:,}" for name, limit in limits.items() if limit < task.rows]
    text = f"trained on a sample of the {task.rows:,} training posts: {', '.join(sampled)}"
    return [text] if sampled else []
