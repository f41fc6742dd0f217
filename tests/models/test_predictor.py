"""Kinds of models, and errors for unknown ones."""

from __future__ import annotations

import pytest

from viral.datasets.streams import Stream
from viral.errors import ConfigError, TableError
from viral.models import predictor
from viral.models.fusion_config import FusionConfig
from viral.models.networks import network
from viral.registry.registry import ModelVersion


def test_a_kind_of_another_version_is_named() -> None:
    with pytest.raises(TableError, match="model m/2 is of the kind oracle: this version of viral knows network"):
        predictor.load(ModelVersion("m", 2, {"kind": "oracle"}, b""))


def test_an_unknown_architecture_is_named() -> None:
    with pytest.raises(ConfigError, match="no architecture is named 'round': choose from gated"):
        network(FusionConfig((Stream("caption", "text", 2),), architecture="round"))
