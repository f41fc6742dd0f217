from __future__ import annotations

from typing import Any

from viral.evaluation.report.model_card import build_card, flatten
from viral.extractors.feature_set import FeatureSet

LABEL = {
    "name": "views",
    "spec": {"definition": "correlation_weighted", "top_fraction": 0.2, "within": ["week"]},
    "fitted": {"fitted": {"likes weight": 0.7}, "threshold": 1.5, "bin_thresholds": {"2024-W05": 1.25}},
    "split": {"kind": "author"},
}


def saved(**more: Any) -> dict[str, Any]:
    return {
        "kind": "network",
        "config": {"streams": [{"name": "caption", "modality": "text", "dim": 384, "tokens": 1}], "width": 32},
        "label": LABEL,
        "rows": 256,
        "data_hash": "ab12",
        "code_version": "0.1.0",
        "sources": ["csv"],
        **more,
    }


def test_what_a_reader_needs_of_a_network() -> None:
    config = {**saved()["config"], "architecture": "gated", "gates": None}
    network = saved(config=config, train={"epochs": 60, "loss": "quantile"}, epochs=57, best_epoch=36)
    card = build_card(network, FeatureSet.named("light"))
    assert card.architecture.endswith("; gated")
    assert card.settings == {"epochs": "60", "loss": "quantile", "architecture": "gated", "width": "32"}
    assert card.training["training posts"] == "256" and "36" in card.training.values()
    assert card.label["counts as viral"] == "the top 20% of the training posts"
    assert card.label["compared within the same"] == "week"
    assert card.fitted == {"likes weight": 0.7, "viral above": 1.5, "viral above, 2024-W05": 1.25}
    assert {column.name: column.used for column in card.inputs}["caption"]
    assert not {column.name: column.used for column in card.inputs}["craft"]
    assert "how it sounds" in card.unseen and "what the caption says" not in card.unseen


def test_weights_are_named() -> None:
    card = build_card(saved(), FeatureSet.named("full", weights="random"))
    weights = {column.name: column.weights for column in card.inputs}
    assert weights["resnet50"] == "random" and weights["metadata"] is None


def test_members_of_several_models_are_named() -> None:
    config = {"streams": saved()["config"]["streams"]}
    members = {"linear": {"weights": {}}, "trees": {"weights": {}}}
    ensemble = build_card(saved(kind="ensemble", config=config, members=members), FeatureSet.named("light"))
    assert ensemble.architecture.endswith(": linear, trees")
    stacked = [{"name": "fusion", "version": 3}, {"name": "crew", "version": 1}]
    stacked_card = build_card(saved(kind="stacked", config=config, members=stacked), FeatureSet.named("light"))
    assert stacked_card.architecture.endswith(": fusion/3, crew/1") and stacked_card.settings == {}


def test_nested_facts_on_lines() -> None:
    facts = {"method": "isotonic", "on": {"split": "validation", "posts": 73}, "knots": list(range(40)), "none": None}
    assert flatten(facts) == {"method": "isotonic", "on split": "validation", "on posts": "73", "knots": "40 values"}
    assert flatten({"a": 0.123456789, "b": [1, 2.5]}) == {"a": "0.123457", "b": "1, 2.5"}
