"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import ParamSpec, TypeVar

import click

from viral.errors import ConfigError
from viral.extractors.feature_set import FEATURE_SETS, FeatureSet
from viral.extractors.root_weights import RootWeights
from viral.registry import Registry
from viral.scorer import feature_set_of
from viral.store import Store

P = ParamSpec("P")
R = TypeVar("R")

_OF_MODEL = "model:"


def feature_set_options(function: Callable[P, R]) -> Callable[P, R]:
    """`--feature-set` and `--weights`."""
    for option in (
        click.option("--weights", help="For the set's networks: a name, a path, a URI, or `random` to try it out."),
        click.option(
            "--feature-set",
            default="light",
            show_default=True,
            help=f"{', '.join(FEATURE_SETS)}, a YAML file, or {_OF_MODEL}NAME/VERSION: what that model was trained on.",
        ),
    ):
        function = option(function)
    return function


def chosen_set(name: str, weights: str | None, store: Store) -> FeatureSet:
    """The feature set of these options, which finds its weights in the root.

    Raises:
        ConfigError: there is none of that name, or its file does not fit. TableError: there is no such model.
    """
    if name.startswith(_OF_MODEL):
        if weights:
            raise ConfigError("--weights is for the named sets: a model's feature set has its own")
        return feature_set_of(Registry(store).load(name.removeprefix(_OF_MODEL)))
    if name.endswith((".yaml", ".yml")):
        if weights:
            raise ConfigError(f"--weights is for the named sets: write weights into {name}")
        return FeatureSet.load(Path(name), resolve=RootWeights(store))
    return FeatureSet.named(name, weights=weights, resolve=RootWeights(store))
