"""Stacks of saved models."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save

from viral.datasets.streams import Batch, Stream
from viral.models.fusion import Fusion
from viral.models.fusion_config import FusionConfig
from viral.models.mixing import MixingWeights
from viral.models.predictor import load
from viral.models.stacked import to_bytes, union_streams
from viral.registry.registry import ModelVersion

METADATA, CAPTION, SOUND = Stream("metadata", "metadata", 5), Stream("caption", "text", 7), Stream("sound", "audio", 3)


def network(name: str, *streams: Stream, seed: int) -> ModelVersion:
    torch.manual_seed(seed)
    config = FusionConfig(streams)
    model = Fusion(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(0, 0.2)
    card = {"kind": "network", "config": asdict(config), "target": {"mean": 10.0, "scale": 2.0}}
    return ModelVersion(name, seed, json.loads(json.dumps(card)), save(model.state_dict()))


def stacked(models: list[ModelVersion], weights: list[tuple[float, float, float]]) -> ModelVersion:
    kinds = ("probability", "score", "interval")
    members = [
        {
            "name": model.name,
            "version": model.version,
            "card": model.card,
            "weights": dict(zip(kinds, values, strict=True)),
        }
        for model, values in zip(models, weights, strict=True)
    ]
    streams = [asdict(stream) for stream in union_streams([model.card for model in models])]
    card: dict[str, Any] = {"kind": "stacked", "config": {"streams": streams}, "members": members}
    return ModelVersion("s", 1, json.loads(json.dumps(card)), to_bytes(models))


def posts(count: int = 64) -> Batch:
    rng = np.random.default_rng(0)
    streams = (METADATA, CAPTION, SOUND)
    present = rng.random((count, 3)) < 0.6
    present[~present.any(axis=1), 1] = True
    vectors = {s.name: rng.normal(size=(count, s.dim)).astype(np.float32) for s in streams}
    for index, stream in enumerate(streams):
        vectors[stream.name][~present[:, index]] = 0
    return Batch(vectors, present)


@pytest.fixture(scope="module")
def models() -> list[ModelVersion]:
    return [network("words", CAPTION, seed=1), network("rest", METADATA, SOUND, seed=2)]


def test_it_says_what_its_members_say_by_weight(models: list[ModelVersion]) -> None:
    batch = posts()
    prediction = load(stacked(models, [(0.3, 0.6, 0.5), (0.7, 0.4, 0.5)]))(
        Batch(batch.vectors, batch.present[:, [1, 0, 2]])
    )
    caption_only = load(models[0])(Batch({"caption": batch.vectors["caption"]}, batch.present[:, 1:2]))
    with np.errstate(invalid="ignore"):
        rest = load(models[1])(Batch({k: batch.vectors[k] for k in ("metadata", "sound")}, batch.present[:, [0, 2]]))
    both = batch.present[:, 1] & batch.present[:, [0, 2]].any(axis=1)
    assert 10 < both.sum() < 60
    np.testing.assert_allclose(
        prediction.probability[both], 0.3 * caption_only.probability[both] + 0.7 * rest.probability[both]
    )
    middle = 0.6 * caption_only.quantiles[both, 1] + 0.4 * rest.quantiles[both, 1]
    np.testing.assert_allclose(prediction.quantiles[both, 1], middle)
    np.testing.assert_allclose(
        prediction.contributions[both, 0], 0.6
    )  # of the caption, which one member alone looks at
    assert prediction.rates is not None
    assert caption_only.rates is not None and rest.rates is not None
    np.testing.assert_allclose(prediction.rates[both], 0.6 * caption_only.rates[both] + 0.4 * rest.rates[both])


def test_a_member_that_sees_nothing_leaves_its_weight_to_the_others(models: list[ModelVersion]) -> None:
    batch = posts()
    prediction = load(stacked(models, [(0.3, 0.6, 0.5), (0.7, 0.4, 0.5)]))(
        Batch(batch.vectors, batch.present[:, [1, 0, 2]])
    )
    caption_only = load(models[0])(Batch({"caption": batch.vectors["caption"]}, np.ones((64, 1), bool)))
    only = batch.present[:, 1] & ~batch.present[:, [0, 2]].any(axis=1)
    assert only.any()
    np.testing.assert_allclose(prediction.probability[only], caption_only.probability[only])
    np.testing.assert_allclose(prediction.quantiles[only], caption_only.quantiles[only])
    for array in (prediction.probability, prediction.quantiles, prediction.contributions, prediction.rates):
        assert np.isfinite(array).all()
    np.testing.assert_allclose(prediction.contributions.sum(axis=1), 1)
    assert (prediction.contributions[~batch.present[:, [1, 0, 2]]] == 0).all()


def test_a_member_of_weight_zero_is_kept_but_not_asked(models: list[ModelVersion]) -> None:
    batch = posts()
    every = Batch(batch.vectors, np.ones((64, 3), bool))
    prediction = load(stacked(models, [(1.0, 1.0, 1.0), (0.0, 0.0, 0.0)]))(every)
    caption_only = load(models[0])(Batch({"caption": batch.vectors["caption"]}, np.ones((64, 1), bool)))
    assert np.array_equal(prediction.probability, caption_only.probability)


def test_a_stack_can_be_stacked(models: list[ModelVersion]) -> None:
    weights = [(0.5, 0.5, 0.5)] * 2
    inner = stacked(models, weights)
    outer = load(stacked([inner, models[0]], weights))
    every = Batch(posts().vectors, np.ones((64, 3), bool))
    caption_only = load(models[0])(Batch({"caption": every.vectors["caption"]}, np.ones((64, 1), bool)))
    expected = (load(inner)(every).probability + caption_only.probability) / 2
    np.testing.assert_allclose(outer(every).probability, expected)


def test_weights_survive_the_card() -> None:
    weights = MixingWeights(*(np.array([values, 1 - values]) for values in (0.1, 1 / 3, 0.7)))
    again = MixingWeights.from_dicts(json.loads(json.dumps([weights.to_dict(0), weights.to_dict(1)])))
    assert again.score.tolist() == weights.score.tolist()
