"""Start training from a saved network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from viral.datasets.streams import Stream, from_dict
from viral.errors import ConfigError
from viral.extractors.feature_set import FeatureSet
from viral.models.train_config import Scaling
from viral.registry.registry import ModelVersion

if TYPE_CHECKING:
    from viral.models.fusion_config import FusionConfig


def check_start(model: ModelVersion, feature_set: FeatureSet, streams: Sequence[Stream], architecture: str) -> None:
    """Check that a saved model fits the network to train.

    Raises:
        ConfigError: its kind, architecture, feature set or streams differ.
    """
    card = model.card
    saved_architecture = card["config"].get("architecture") if card["kind"] == "network" else card["kind"]
    if saved_architecture != architecture:
        raise ConfigError(f"cannot go on from {model}: its architecture is {saved_architecture}, not {architecture}")
    saved_set = card["feature_set"]
    if saved_set["fingerprint"] != feature_set.fingerprint:
        raise ConfigError(
            f"cannot go on from {model}: it was trained on feature set {saved_set['name']}-{saved_set['fingerprint']}, "
            f"not on {feature_set.name}-{feature_set.fingerprint}"
        )
    saved_streams = from_dict(card["config"]["streams"])
    if tuple(saved_streams) != tuple(streams):
        saved_names, names = (", ".join(stream.name for stream in group) for group in (saved_streams, streams))
        raise ConfigError(f"cannot go on from {model}: it looks at {saved_names}, not at {names}")


def config_of(model: ModelVersion) -> FusionConfig:
    """The shape of a saved network."""
    from viral.models.fusion_config import FusionConfig

    config = model.card["config"]
    return FusionConfig(**{**config, "streams": from_dict(config["streams"])})


def scaling_of(model: ModelVersion) -> Scaling:
    """The units of a saved network's score; like the statistics of its inputs they stay fixed in further training."""
    target = model.card["target"]
    return Scaling(target["mean"], target["scale"])
