"""A saved network that training goes on from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from viral.datasets.streams import Stream, from_dict
from viral.errors import ConfigError
from viral.extractors.feature_set import FeatureSet
from viral.models.train_config import Scaling
from viral.registry.registry import Saved

if TYPE_CHECKING:
    from viral.models.fusion_config import FusionConfig


def check_start(saved: Saved, feature_set: FeatureSet, streams: Sequence[Stream], architecture: str) -> None:
    """Make sure that a model's weights mean the same in the network that is to be trained.

    Raises:
        ConfigError: it is of another kind or architecture, or looks at something else.
    """
    card = saved.card
    other = card["config"].get("architecture") if card["kind"] == "network" else card["kind"]
    if other != architecture:
        raise ConfigError(f"cannot go on from {saved}: its architecture is {other}, not {architecture}")
    of = card["feature_set"]
    if of["fingerprint"] != feature_set.fingerprint:
        raise ConfigError(
            f"cannot go on from {saved}: it was trained on feature set {of['name']}-{of['fingerprint']}, "
            f"not on {feature_set.name}-{feature_set.fingerprint}"
        )
    seen = from_dict(card["config"]["streams"])
    if tuple(seen) != tuple(streams):
        names = (", ".join(each.name for each in every) for every in (seen, streams))
        raise ConfigError("cannot go on from {}: it looks at {}, not at {}".format(saved, *names))


def shape_of(saved: Saved) -> FusionConfig:
    """The shape of a saved network."""
    from viral.models.fusion_config import FusionConfig

    config = saved.card["config"]
    return FusionConfig(**{**config, "streams": from_dict(config["streams"])})


def scaling_of(saved: Saved) -> Scaling:
    """The units that a saved network works in. They stay with its weights, like the statistics of its inputs."""
    target = saved.card["target"]
    return Scaling(target["mean"], target["scale"])
