"""Model card of a scorecard: inputs, training and label of a saved model, in readable form."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from viral.evaluation.report.sections import Card, Input
from viral.extractors.feature_set import FeatureSet
from viral.extractors.registry import EXTRACTORS, extractor_class

_KINDS = {
    "network": "a neural network over the vectors below",
    "ensemble": "an ensemble of classical models over the vectors below, weighted on the validation posts",
    "stacked": "several saved models as one, weighted on the validation posts",
}
_HIDDEN = ("streams", "gates")  # per input, so too long for the settings; the table of inputs lists the inputs
_TRAINING = (
    ("rows", "training posts"),
    ("epochs", "epochs run"),
    ("best_epoch", "epoch used, the best on the validation posts"),
    ("workers", "workers"),
    ("continued_from", "continued from"),
)
_MODALITY_TEXTS = {
    "text": "what the caption says",
    "audio": "how it sounds",
    "speech": "what is said in it",
    "editing": "how it is cut and lit",
    "image": "what its pictures show",
    "video": "how it moves",
    "screen": "the text on the screen",
    "faces": "whether it shows faces",
    "metadata": "hour, length and followers of the author",
}


def build_card(card: Mapping[str, Any], feature_set: FeatureSet) -> Card:
    """Build the card from a saved model's `model.json`."""
    used = {stream["name"] for stream in card["config"]["streams"]}
    inputs = tuple(
        Input(
            name=spec.name,
            modality=spec.modality,
            dim=spec.dim,
            version=spec.version,
            weights=None if (weights := spec.params().get("weights")) is None else str(weights),
            used=spec.name in used,
        )
        for spec in feature_set.specs
    )
    fitted = card["label"].get("fitted", {})
    return Card(
        kind=card["kind"],
        architecture=_architecture(card),
        settings=flatten({**card.get("train", {}), **{k: v for k, v in card["config"].items() if k not in _HIDDEN}}),
        label=_label(card["label"]),
        fitted={**fitted.get("fitted", {}), **_threshold(fitted)},
        inputs=inputs,
        unseen=_missing_modalities({column.modality for column in inputs if column.used}),
        training={text: str(card[name]) for name, text in _TRAINING if name in card},
        data_hash=card["data_hash"],
        code_version=card["code_version"],
        sources=tuple(card["sources"]),
    )


def _missing_modalities(used: set[str]) -> tuple[str, ...]:
    """Supported modalities that a model does not use, in words."""
    # By modality, not by extractor: any one of its extractors covers it.
    supported = {extractor_class(name).modality for name in EXTRACTORS}
    return tuple(_MODALITY_TEXTS.get(name, name) for name in sorted(supported - used))


def flatten(facts: Mapping[str, Any], parent: str = "") -> dict[str, str]:
    """Flatten nested facts: `{"a": {"b": 1}}` becomes `{"a b": "1"}`. Long lists become their length."""
    flat: dict[str, str] = {}
    for name, value in facts.items():
        key = f"{parent} {name}".strip().replace("_", " ")
        if isinstance(value, Mapping):
            flat |= flatten(value, key)
        elif value is not None:
            flat[key] = _format(value)
    return flat


def _format(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, list | tuple):
        short = len(value) <= 6 and not any(isinstance(item, Mapping | list | tuple) for item in value)
        return ", ".join(map(_format, value)) if short else f"{len(value)} values"
    return str(value)


def _architecture(card: Mapping[str, Any]) -> str:
    kind = _KINDS.get(card["kind"], card["kind"])
    if "architecture" in card["config"]:
        return f"{kind}; {card['config']['architecture']}"
    members = card.get("members", ())
    # An ensemble maps member names to settings; a stacked model lists saved models.
    names = members if isinstance(members, Mapping) else [f"{model['name']}/{model['version']}" for model in members]
    return f"{kind}: {', '.join(names)}" if names else kind


def _label(label: Mapping[str, Any]) -> dict[str, str]:
    spec = label["spec"]
    facts = {
        "label table": label["name"],
        "definition": spec["definition"],
        "counts as viral": f"the top {spec['top_fraction']:.0%} of the training posts",
    }
    return facts | ({"compared within the same": " and ".join(spec["within"])} if spec["within"] else {})


def _threshold(fitted: Mapping[str, Any]) -> dict[str, float]:
    limits = {"viral above": fitted["threshold"]} if "threshold" in fitted else {}
    return limits | {f"viral above, {name}": limit for name, limit in fitted.get("bin_thresholds", {}).items()}
