"""TreeSHAP of an ensemble's trees: it adds up, and names the columns."""

from __future__ import annotations

import json
from dataclasses import asdict

import numpy as np
import pytest

from tests.models.conftest import STREAMS
from tests.models.ensemble.conftest import SCALING, make_posts
from tests.trees import few_trees
from viral.explain.trees import tree_values
from viral.extractors.feature_set import FeatureSet
from viral.models.ensemble.linear import LinearMember
from viral.models.ensemble.predictor import to_bytes
from viral.models.ensemble.trees import Boosting, Forest
from viral.models.stacked import to_bytes as stack_bytes
from viral.registry.registry import ModelVersion
from viral.scoring.scorer import Scorer

SET = FeatureSet.from_dict({"name": "mini", "extractors": ["metadata", "caption", "acoustics"]})
WEIGHTS = {"boosting": 0.5, "forest": 0.3, "logistic": 0.2}


@pytest.fixture(scope="module")
def posts():
    return make_posts(STREAMS, 200)


@pytest.fixture(scope="module")
def ensemble(posts) -> ModelVersion:
    kinds = {"boosting": Boosting, "forest": Forest, "logistic": LinearMember}
    with few_trees():
        members = {n: kind.fit(posts.layout, posts.train, posts.validation, 0)[0] for n, kind in kinds.items()}
    weights = {name: dict.fromkeys(("probability", "score", "interval"), w) for name, w in WEIGHTS.items()}
    card = {
        "kind": "ensemble",
        "config": {"streams": [asdict(stream) for stream in STREAMS]},
        "target": asdict(SCALING),
        "members": {name: {"weights": each} for name, each in weights.items()},
        "feature_set": SET.to_dict(),
        "label": {"spec": {"definition": "log_views"}},
    }
    arrays = {name: member.to_arrays() for name, member in members.items()}
    return ModelVersion("ensemble", 1, json.loads(json.dumps(card)), to_bytes(posts.layout, arrays))


def test_they_add_up_to_what_the_trees_say(posts, ensemble: ModelVersion) -> None:
    scorer, batch = Scorer(ensemble), posts.new.batch.take(np.arange(20))
    ensembled = scorer.predictor
    for row, each in enumerate(tree_values(scorer, batch)):
        assert each.weight == pytest.approx(0.8)
        said = sum(
            WEIGHTS[name] * ensembled.members[name](posts.layout, batch).quantiles[row, 1]
            for name in ("boosting", "forest")
        )
        part = said * SCALING.scale + 0.8 * SCALING.mean
        assert sum(each.values.values()) + each.base_value == pytest.approx(part, abs=1e-5)
        sizes = [abs(value) for value in each.values.values()]
        assert sizes == sorted(sizes, reverse=True)


def test_the_planted_column_is_named_first(posts, ensemble: ModelVersion) -> None:
    """The target is the first number of the metadata, which is called `hour_sin`."""
    found = tree_values(Scorer(ensemble), posts.new.batch.take(np.arange(20)))
    firsts = [next(iter(each.values)) for each in found]
    assert firsts.count("metadata hour_sin") >= 18
    assert "caption" in found[0].values
    assert not any(name.startswith("caption ") for name in found[0].values)


def test_through_a_stack(posts, ensemble: ModelVersion) -> None:
    batch = posts.new.batch.take(np.arange(3))
    half = dict.fromkeys(("probability", "score", "interval"), 0.5)
    part = {"name": "ensemble", "version": 1, "card": ensemble.card, "weights": half}
    card = {**ensemble.card, "kind": "stacked", "members": [part, part]}
    stacked = tree_values(Scorer(ModelVersion("stacked", 1, card, stack_bytes([ensemble, ensemble]))), batch)
    alone = tree_values(Scorer(ensemble), batch)
    for one, other in zip(stacked, alone, strict=True):
        assert one.values == pytest.approx(other.values)
        assert one.base_value == pytest.approx(other.base_value)


def test_a_network_has_no_trees(planted_world) -> None:
    from tests.planted import posts as drawn

    assert tree_values(planted_world.scorer, drawn(1, 0).batch) == []
