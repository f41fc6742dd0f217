"""The model card of a scorecard: what a saved model is made of, in words and numbers that people read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from viral.evaluation.report.sections import Card, Input
from viral.extractors.feature_set import FeatureSet
from viral.extractors.registry import EXTRACTORS, extractor_class

_KINDS = {
    "network": "a neural network over the vectors below",
    "ensemble": "an ensemble of classical models over the vectors below, weighed on the validation posts",
    "stacked": "several saved models as one, weighed on the validation posts",
}
_LEFT_OUT = ("streams", "gates")
_TRAINING = (
    ("rows", "training posts"),
    ("epochs", "epochs run"),
    ("best_epoch", "epoch kept, the best on the validation posts"),
    ("workers", "workers"),
    ("continued_from", "continued from"),
)
_LOOKS = {
    "text": "what the caption says",
    "audio": "how it sounds",
    "speech": "what is said in it",
    "editing": "how it is cut and lit",
    "image": "what its pictures show",
    "video": "how it moves",
    "screen": "the words on the screen",
    "faces": "whether faces are in it",
    "metadata": "the hour, the length and the author's reach",
}


def card_of(card: Mapping[str, Any], feature_set: FeatureSet) -> Card:
    """The facts of a saved model's card (`model.json`) that its reader needs."""
    used = {stream["name"] for stream in card["config"]["streams"]}
    inputs = tuple(
        Input(
            name=spec.name,
            modality=spec.modality,
            dim=spec.dim,
            version=spec.version,
            weights=_weights(spec.params()),
            used=spec.name in used,
        )
        for spec in feature_set.specs
    )
    fitted = card["label"].get("fitted", {})
    return Card(
        kind=card["kind"],
        architecture=_architecture(card),
        settings=flat({**card.get("train", {}), **{k: v for k, v in card["config"].items() if k not in _LEFT_OUT}}),
        label=_label(card["label"]),
        fitted={**fitted.get("fitted", {}), **_threshold(fitted)},
        inputs=inputs,
        unseen=unseen({each.modality for each in inputs if each.used}),
        training={words: str(card[name]) for name, words in _TRAINING if name in card},
        data_hash=card["data_hash"],
        code_version=card["code_version"],
        sources=tuple(card["sources"]),
    )


def unseen(modalities: Sequence[str] | set[str]) -> tuple[str, ...]:
    """What this product could look at and a model of these modalities does not, in words."""
    known = {extractor_class(name).modality for name in EXTRACTORS}
    return tuple(_LOOKS.get(name, name) for name in sorted(known - set(modalities)))


def flat(facts: Mapping[str, Any], within: str = "") -> dict[str, str]:
    """Nested facts as one list of lines: `{"a": {"b": 1}}` is `{"a b": "1"}`. Long lists are counted, not written."""
    lines: dict[str, str] = {}
    for name, value in facts.items():
        words = f"{within} {name}".strip().replace("_", " ")
        if isinstance(value, Mapping):
            lines |= flat(value, words)
        elif value is not None:
            lines[words] = _written(value)
    return lines


def _written(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, list | tuple):
        short = len(value) <= 6 and not any(isinstance(each, Mapping | list | tuple) for each in value)
        return ", ".join(map(_written, value)) if short else f"{len(value)} values"
    return str(value)


def _architecture(card: Mapping[str, Any]) -> str:
    kind = _KINDS.get(card["kind"], card["kind"])
    if "architecture" in card["config"]:
        return f"{kind}; {card['config']['architecture']}"
    members = card.get("members", ())
    names = list(members) if isinstance(members, Mapping) else [f"{one['name']}/{one['version']}" for one in members]
    return f"{kind}: {', '.join(names)}" if names else kind


def _weights(params: Mapping[str, Any]) -> str | None:
    given = params.get("weights")
    return None if given is None else str(given)


def _label(label: Mapping[str, Any]) -> dict[str, str]:
    spec = label["spec"]
    words = {
        "label table": label["name"],
        "definition": spec["definition"],
        "counts as viral": f"the top {spec['top_fraction']:.0%} of the training posts",
    }
    return words | ({"compared within the same": " and ".join(spec["within"])} if spec["within"] else {})


def _threshold(fitted: Mapping[str, Any]) -> dict[str, float]:
    limits = {"viral above": fitted["threshold"]} if "threshold" in fitted else {}
    return limits | {f"viral above, {name}": limit for name, limit in fitted.get("bin_thresholds", {}).items()}
