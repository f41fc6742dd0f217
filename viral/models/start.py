"""Continue the training of a saved network: compatibility check and saved settings."""

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
    """Check that training can continue from a saved model.

    Raises:
        ConfigError: the architecture, feature set or streams differ.
    """
    card = model.card
    saved = card["config"].get("architecture") if card["kind"] == "network" else card["kind"]
    if saved != architecture:
        raise ConfigError(f"cannot continue from {model}: its architecture is {saved}, not {architecture}")
    saved_set = card["feature_set"]
    if saved_set["fingerprint"] != feature_set.fingerprint:
        raise ConfigError(
            f"cannot continue from {model}: it was trained on feature set "
            f"{saved_set['name']}-{saved_set['fingerprint']}, not on {feature_set.name}-{feature_set.fingerprint}"
        )
    saved_streams = from_dict(card["config"]["streams"])
    # Same feature set, but restricted to other inputs, or without vectors of some: the layers would not fit.
    if tuple(saved_streams) != tuple(streams):
        saved_names, names = (", ".join(stream.name for stream in group) for group in (saved_streams, streams))
        raise ConfigError(f"cannot continue from {model}: its inputs are {saved_names}, not {names}")


def saved_config(model: ModelVersion) -> FusionConfig:
    """Read the architecture of a saved network from its card."""
    from viral.models.fusion_config import FusionConfig

    config = model.card["config"]
    return FusionConfig(**{**config, "streams": from_dict(config["streams"])})


def saved_scaling(model: ModelVersion) -> Scaling:
    """Read the units of a saved network's score, which further training retains like the statistics of its inputs."""
    target = model.card["target"]
    return Scaling(target["mean"], target["scale"])
