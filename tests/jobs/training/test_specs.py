"""Feature sets that a model cannot be trained on."""

from __future__ import annotations

import pytest

from jobs.train_ensemble import EnsembleSpec
from jobs.training.specs import TrainSpec
from viral.errors import ConfigError
from viral.extractors.feature_set import FeatureSet

NGRAMS = FeatureSet.from_dict({"name": "only", "extractors": ["ngrams"]})
REFUSED = "feature set only has nothing but n-grams: add metadata or caption"


def test_n_grams_alone_are_refused() -> None:
    with pytest.raises(ConfigError, match=REFUSED):
        _ = TrainSpec("m", NGRAMS, "log_views").streams
    with pytest.raises(ConfigError, match=REFUSED):
        EnsembleSpec("m", NGRAMS, "log_views").check()
