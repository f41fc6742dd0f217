"""Streams of numbers are encoded by training quantiles, and members of one network learn apart."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr

from viral.datasets.streams import Stream
from viral.models.fusion import Fusion, NumbersProjection, set_statistics
from viral.models.fusion_config import BINS, FusionConfig
from viral.models.numbers import bin_edges, edges_of, is_numbers, widths
from viral.models.train_config import TrainConfig
from viral.models.training import Learner, TensorBatch

COUNTS = Stream("counts", "metadata", 2)
WIDE = Stream("caption", "text", 80)
MEMBERS = 4


def network(values: np.ndarray, *, bins: int = BINS, members: int = MEMBERS, modality_dropout: float = 0.0) -> Fusion:
    torch.manual_seed(0)
    model = Fusion(FusionConfig((COUNTS,), bins=bins, members=members, modality_dropout=modality_dropout))
    edges = edges_of((COUNTS,), {"counts": values}, np.ones((len(values), 1), bool), bins) if bins else None
    set_statistics(model, {"counts": values.mean(0).tolist()}, {"counts": values.std(0).tolist()}, edges)
    return model


def test_a_value_is_encoded_by_how_far_it_reaches_into_each_bin() -> None:
    projection = NumbersProjection(1, 8, 0.0, 4)
    projection.set_edges(torch.tensor([[0.0, 1.0, 10.0, 100.0, 1000.0]]))
    encoded = projection.standardised(torch.tensor([[-5.0], [0.5], [10.0], [1e9]]))
    assert encoded.tolist() == [[-1, -1, -1, -1], [0, -1, -1, -1], [1, 1, -1, -1], [1, 1, 1, 1]]


def test_values_that_repeat_have_empty_bins_that_say_nothing() -> None:
    edges = bin_edges(np.array([[0.0]] * 90 + [[1.0]] * 10, np.float32), 4)
    assert edges.shape == (1, 5)
    assert np.isinf(widths(edges)[0, :3]).all()
    projection = NumbersProjection(1, 8, 0.0, 4)
    projection.set_edges(torch.from_numpy(edges))
    assert projection.standardised(torch.tensor([[0.0], [1.0]])).isfinite().all()


def test_small_streams_are_numbers_and_absent_ones_have_no_edges() -> None:
    assert (is_numbers(COUNTS), is_numbers(WIDE)) == (True, False)
    vectors = {"counts": np.ones((3, 2), np.float32), "caption": np.ones((3, 80), np.float32)}
    assert edges_of((COUNTS, WIDE), vectors, np.zeros((3, 2), bool), 4) == {}


def test_in_training_each_member_answers_and_later_their_mean() -> None:
    values = np.random.default_rng(0).lognormal(size=(64, 2)).astype(np.float32)
    model, present = network(values), torch.ones(64, 1, dtype=torch.bool)
    given = {"counts": torch.from_numpy(values)}
    assert model.config.version == 2
    apart = model.train()(given, present)
    assert len(apart.logit) == 64 * MEMBERS
    assert float(apart.logit.detach().reshape(64, MEMBERS).std(dim=1).min()) > 0
    together = model.eval()(given, present)
    assert together.quantiles.shape == (64, 3)
    assert (together.quantiles.diff(dim=1) > 0).all()


def test_a_model_from_before_has_neither() -> None:
    old = FusionConfig((COUNTS, WIDE))
    assert (old.version, old.bins, old.members) == (1, 0, 1)
    assert not any("member" in name or "edges" in name for name in Fusion(old).state_dict())


@pytest.mark.parametrize(("bins", "members", "learns"), [(BINS, MEMBERS, True), (0, 1, False)])
def test_raw_counts_with_heavy_tails_are_learnt_from(bins: int, members: int, learns: bool) -> None:
    rng = np.random.default_rng(1)
    logs = rng.normal(0, 3, (1000, 2))
    values, y = np.exp(logs).astype(np.float32), (np.abs(logs[:, 0]) + 0.3 * rng.normal(size=1000)).astype(np.float32)
    model = network(values, bins=bins, members=members)
    standard = torch.from_numpy((y - y.mean()) / y.std())
    targets = {"target": standard, "is_viral": (standard > 0.7).float()}
    targets |= {f"{name}_rate": torch.full((1000,), float("nan")) for name in ("likes", "comments", "shares")}
    posts = TensorBatch({"counts": torch.from_numpy(values)}, torch.ones(1000, 1, dtype=torch.bool), targets)
    train, test = posts.take(slice(0, 800)), posts.take(slice(800, 1000))
    learner = Learner(model, TrainConfig(learning_rate=1e-2), steps=100)
    for _ in range(25):
        learner.train(train.take(slice(start, start + 200)) for start in range(0, 800, 200))
    with torch.inference_mode():
        predicted = model.eval()(test.vectors, test.present).quantiles[:, 1]
    assert (spearmanr(predicted, y[800:]).statistic > 0.8) == learns
