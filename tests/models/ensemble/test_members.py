"""Each member: it learns, is restored from its file bit by bit, and predicts posts independently."""

from __future__ import annotations

import json
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.models.ensemble.conftest import SCALING, Posts, make_posts
from viral.datasets.streams import Batch, from_dict
from viral.errors import ConfigError
from viral.models.ensemble import neighbours
from viral.models.ensemble.member import Member, log_loss, member_class, squared_loss
from viral.models.ensemble.predictor import EnsemblePredictor, load, to_bytes
from viral.models.ensemble.rows import is_sampled
from viral.models.ensemble.usable import usable_members
from viral.models.mixing import MixingWeights, normalise_weights
from viral.registry.registry import ModelVersion

STREAMS = [{"name": "metadata", "modality": "metadata", "dim": 5}, {"name": "caption", "modality": "text", "dim": 7}]
STREAMS.append({"name": "acoustics", "modality": "audio", "dim": 3})
# Those that need n-grams or followers, and the constant, have tests of their own.
MEMBERS = tuple(name for name in usable_members(from_dict(STREAMS)) if name != "constant")


@cache
def fitted(name: str, posts: Posts) -> tuple[Member, dict[str, Any]]:
    return member_class(name).fit(posts.layout, posts.train, posts.validation, 0)


def saved(posts: Posts, weights: MixingWeights | None = None) -> ModelVersion:
    weights = weights or normalise_weights(tuple(MEMBERS), dict.fromkeys(MEMBERS, 1.0))
    members = {name: {"weights": weights.to_dict(index)} for index, name in enumerate(MEMBERS)}
    card = {"kind": "ensemble", "config": {"streams": STREAMS}, "target": vars(SCALING), "members": members}
    tensors = {name: fitted(name, posts)[0].to_arrays() for name in MEMBERS}
    return ModelVersion("e", 1, json.loads(json.dumps(card)), to_bytes(posts.layout, tensors))


@pytest.mark.parametrize("name", MEMBERS)
def test_a_member_learns_what_there_is_to_learn(name: str, posts: Posts) -> None:
    member, settings = fitted(name, posts)
    prediction, new = member(posts.layout, posts.new.batch), posts.new
    rate = np.full(len(new), new.viral.mean())
    assert log_loss(prediction.probability, new.viral) < 0.8 * log_loss(rate, new.viral), settings
    assert squared_loss(prediction.quantiles[:, 1], new.score) < 0.8 * np.var(new.score), settings
    assert ((prediction.probability >= 0) & (prediction.probability <= 1)).all()
    assert (np.diff(prediction.quantiles, axis=1) >= 0).all()
    inside = (prediction.quantiles[:, 0] <= new.score) & (new.score <= prediction.quantiles[:, 2])
    assert 0.7 < inside.mean() < 0.99


@pytest.mark.parametrize("name", MEMBERS)
def test_the_same_posts_and_seed_make_the_same_member(name: str, posts: Posts) -> None:
    again, settings = member_class(name).fit(posts.layout, posts.train, posts.validation, 0)
    assert settings == fitted(name, posts)[1]
    for key, array in fitted(name, posts)[0].to_arrays().items():
        assert np.array_equal(array, again.to_arrays()[key]), key


@pytest.mark.parametrize("name", MEMBERS)
def test_few_posts_and_one_stream_are_enough(name: str) -> None:
    few = make_posts(made_streams()[:1], count=30)
    member, _ = member_class(name).fit(few.layout, few.train, few.validation, 0)
    assert np.isfinite(member(few.layout, few.new.batch).quantiles).all()


def made_streams() -> Any:
    return from_dict(STREAMS)


def test_a_post_does_not_see_its_neighbours(posts: Posts) -> None:
    predict, batch = load(saved(posts)), posts.new.batch
    whole, turned = predict(batch.take(np.arange(64))), predict(batch.take(np.arange(64)[::-1]))
    repeated = predict(batch.take(np.full(64, 5)))
    for name in ("probability", "quantiles", "contributions"):
        assert np.array_equal(getattr(whole, name), getattr(turned, name)[::-1]), name
        assert np.array_equal(getattr(repeated, name)[17], getattr(whole, name)[5]), name


def test_shares_are_of_what_is_there_and_of_what_matters(posts: Posts) -> None:
    prediction = load(saved(posts))(posts.new.batch)
    np.testing.assert_allclose(prediction.contributions.sum(axis=1), 1, atol=1e-12)
    assert (prediction.contributions[~posts.new.batch.present] == 0).all()
    assert prediction.contributions[:, 0].mean() > 0.6  # the score is that of the first stream


def test_another_process_says_the_same_to_the_last_bit(posts: Posts, tmp_path: Path) -> None:
    model, batch = saved(posts), posts.new.batch.take(np.arange(64))
    (tmp_path / "w").write_bytes(model.weights)
    (tmp_path / "c").write_text(json.dumps(model.card))
    np.savez(tmp_path / "x.npz", present=batch.present, **batch.vectors)
    code = f"""
import json, sys, numpy as np
from pathlib import Path
from viral.models.predictor import load
from viral.datasets.streams import Batch, from_dict
from viral.registry.registry import ModelVersion
at = Path({str(tmp_path)!r})
x = dict(np.load(at / "x.npz"))
model = ModelVersion("e", 1, json.loads((at / "c").read_text()), (at / "w").read_bytes())
prediction = load(model)(Batch(x, x.pop("present")))
fields = ("probability", "quantiles", "contributions")
np.savez(at / "y.npz", **{{name: getattr(prediction, name) for name in fields}})
"""
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[3])
    prediction, loaded = load(model)(batch), np.load(tmp_path / "y.npz")
    for name in ("probability", "quantiles", "contributions"):
        assert np.array_equal(getattr(prediction, name), loaded[name]), name


def test_a_member_of_weight_zero_is_not_asked(posts: Posts) -> None:
    only = load(saved(posts, normalise_weights(tuple(MEMBERS), {"forest": 2.0})))
    assert isinstance(only, EnsemblePredictor)
    assert list(only.members) == ["forest"]
    direct = fitted("forest", posts)[0](posts.layout, posts.new.batch)
    assert np.array_equal(only(posts.new.batch).probability, direct.probability)


def test_trees_take_gaps_and_all_others_zeros(posts: Posts) -> None:
    batch = Batch({name: array[:2] for name, array in posts.new.batch.vectors.items()}, np.zeros((2, 3), bool))
    batch.present[1, 0] = True
    with_nan, standardised = posts.layout.with_nan(batch), posts.layout.standardised(batch)
    assert np.isnan(with_nan[0, :15]).all()
    assert np.array_equal(with_nan[1, :5], batch.vectors["metadata"][1])
    assert np.array_equal(with_nan[:, 15:], [[0, 0, 0], [1, 0, 0]])
    assert np.array_equal(standardised[0], np.zeros(18))
    standard = (batch.vectors["metadata"][1] - posts.layout.mean[:5]) / posts.layout.scale[:5]
    np.testing.assert_allclose(standardised[1, :5], standard / 5**0.5, rtol=1e-5)


def test_a_sample_is_decided_by_each_post(posts: Posts) -> None:
    from dataclasses import replace

    half, fewer = (
        replace(posts.train, sample_fraction=0.5).read_all(),
        replace(posts.train, sample_fraction=0.25, log2_buckets=0).read_all(),
    )
    assert 150 < len(half) < 250
    assert set(fewer.score.tolist()) < set(half.score.tolist())
    assert is_sampled("7", 1.0)


def test_neighbours_are_no_more_than_there_are() -> None:
    few = make_posts(made_streams(), count=8)
    member, settings = neighbours.Neighbours.fit(few.layout, few.train, few.validation, 0)
    assert max(settings.values()) == 8
    assert len(member.vectors) == 8


def test_an_unknown_member_is_named() -> None:
    with pytest.raises(ConfigError, match="no member 'oracle': choose from logistic, forest, boosting, svm, knn"):
        member_class("oracle")
