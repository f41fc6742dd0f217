"""What is saved beside the arrays of an ensemble, and what its summary says of each member."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import viral
from jobs.training.ensemble_member import MemberTask, Trained
from jobs.training.model_card import absent, notes_of, notes_of_absent, notes_of_share, sources_of
from viral.datasets.labelled_features import Statistics
from viral.datasets.streams import streams_of
from viral.extractors.feature_set import FeatureSet
from viral.models.ensemble.member import log_loss, squared_loss
from viral.models.mixing import Weights, mix
from viral.models.predictions import PredictionBatch
from viral.storage.store import Store

TOGETHER = "together"


def ensemble_card(
    feature_set: FeatureSet,
    label: Mapping[str, Any],
    task: MemberTask,
    statistics: Statistics,
    trained: Sequence[Trained],
    weights: Weights,
    store: Store,
) -> dict[str, Any]:
    """All that a scorer needs besides the arrays, and what the model's reader must know."""
    sources, offered, seen = sources_of(store), streams_of(feature_set), task.layout.streams
    return {
        "kind": "ensemble",
        "config": {"streams": [asdict(stream) for stream in task.layout.streams]},
        "target": asdict(task.scaling),
        "members": members_of(task, trained, weights),
        "feature_set": feature_set.to_dict(),
        "absent": absent(offered, seen),
        "label": dict(label),
        "seed": task.seed,
        "workers": task.workers,
        "rows": statistics.rows,
        "data_hash": statistics.data_hash,
        "code_version": viral.__version__,
        "sources": sources,
        "share": task.data.share,
        "notes": [
            *notes_of(feature_set, sources),
            *notes_of_absent(offered, seen),
            *_sampled(task, trained),
            *notes_of_share(task.data.share),
        ],
    }


def members_of(task: MemberTask, trained: Sequence[Trained], weights: Weights) -> dict[str, Any]:
    """Of each member: its weights, its settings, how many posts it learnt from, how good it is on held ones."""
    return {
        each.name: {
            "weights": weights.of(at),
            "settings": each.settings,
            "limit": task.limit(each.name),
            "learnt_from_a_sample": task.limit(each.name) < task.rows,
            "validation": figures(each.said, each, task.scaling.scale),
        }
        for at, each in enumerate(trained)
    }


def figures(said: PredictionBatch, truth: Trained, unit: float) -> dict[str, float]:
    """Log loss of the probability and root mean squared error of the score, in the label's units."""
    error = squared_loss(said.score, truth.score) ** 0.5 * unit
    return {"log_loss": log_loss(said.probability, truth.viral), "rmse": error}


def lines(card: Mapping[str, Any], trained: Sequence[Trained], weights: Weights) -> dict[str, str]:
    """The card's members for people, and the figures of all of them together."""
    said = {
        name: f"{_weights(each['weights'])}; {_figures(each['validation'])}" for name, each in card["members"].items()
    }
    whole = figures(mix([each.said for each in trained], weights), trained[0], card["target"]["scale"])
    return said | {TOGETHER: _figures(whole)}


def _weights(weights: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {value:.2f}" for name, value in weights.items())


def _figures(found: Mapping[str, float]) -> str:
    return f"validation log loss {found['log_loss']:.4f}, RMSE {found['rmse']:.4f}"


def _sampled(task: MemberTask, trained: Sequence[Trained]) -> list[str]:
    limits = {each.name: task.limit(each.name) for each in trained}
    few = [f"{name} from {limit:,}" for name, limit in limits.items() if limit < task.rows]
    return [f"of {task.rows:,} training posts some members learnt from a sample: {', '.join(few)}"] if few else []
