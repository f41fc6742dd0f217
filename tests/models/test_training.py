"""Training: it learns, and resumes bit by bit."""

from __future__ import annotations

import io
import itertools
import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch

from viral.datasets.streams import Stream
from viral.models.fusion import Fusion
from viral.models.fusion_config import FusionConfig
from viral.models.train_config import Scaling, TrainConfig
from viral.models.training import Learner, TensorBatch, concat, lr_factor, to_tensors, use_bfloat16

CPU = torch.device("cpu")
SCALING = Scaling(3.0, 2.0)
Make = Callable[..., pa.Table]


def start(streams: tuple[Stream, ...], config: TrainConfig, steps: int, **shape: Any) -> Learner:
    torch.manual_seed(config.seed)
    return Learner(Fusion(FusionConfig(streams, **shape)), config, steps)


def epochs(learner: Learner, rows: pa.Table, streams: tuple[Stream, ...], numbers: range) -> list[float]:
    """Train as a worker does: seed and epoch determine all random numbers."""
    losses = []
    for epoch in numbers:
        torch.manual_seed((learner.config.seed << 20) + epoch)
        order = np.random.default_rng((learner.config.seed, epoch)).permutation(rows.num_rows)
        losses.append(
            learner.train(batches(rows.take(order), streams, learner.config.worker_batch_size(rows.num_rows, 1)))
        )
    return losses


def batches(rows: pa.Table, streams: tuple[Stream, ...], size: int) -> Iterator[TensorBatch]:
    for first in range(0, rows.num_rows, size):
        yield to_tensors(streams, rows.slice(first, size), SCALING, CPU)


def weights(learner: Learner) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in learner.model.state_dict().items()}


def same(left: dict[str, torch.Tensor], right: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(left[name], right[name]) for name in left | right)


def test_rows_as_tensors(streams: tuple[Stream, ...], make_rows: Make) -> None:
    rows = make_rows(12)
    tensors = to_tensors(streams, rows, SCALING, CPU)
    assert tensors.rows == 12
    assert tensors.present.shape == (12, 3)
    assert tensors.present.dtype == torch.bool
    expected = (np.array(rows["target"]) - 3) / 2
    np.testing.assert_allclose(tensors.targets["target"], expected, rtol=1e-5, atol=1e-6)
    assert tensors.targets["is_viral"].tolist() == [float(value) for value in rows["is_viral"].to_pylist()]
    assert tensors.targets["shares_rate"].isnan().all()
    assert tensors.targets["comments_rate"].isnan().tolist() == [number % 3 > 0 for number in range(12)]


def test_tensors_are_taken_and_put_together(streams: tuple[Stream, ...], make_rows: Make) -> None:
    whole = to_tensors(streams, make_rows(12), SCALING, CPU)
    rows = torch.tensor([7, 0, 7])
    for name, vectors in whole.take(rows).vectors.items():
        assert torch.equal(vectors, whole.vectors[name][rows])
    again = concat([whole.take(slice(0, 5)), whole.take(slice(5, 12))])
    assert again.bytes == whole.bytes == 12 * (4 * (5 + 7 + 3) + 3 + 4 * 5)
    for field in ("vectors", "targets"):
        left, right = getattr(again, field), getattr(whole, field)
        assert left.keys() == right.keys()
        assert all(torch.equal(left[name].nan_to_num(), right[name].nan_to_num()) for name in left)
    assert torch.equal(again.present, whole.present)


def test_it_overfits_sixteen_rows(streams: tuple[Stream, ...], make_rows: Make) -> None:
    config = TrainConfig(batch_size=16, learning_rate=1e-2, weight_decay=0.0)
    learner = start(streams, config, 400, dropout=0.0, modality_dropout=0.0)
    rows = make_rows(16)
    losses = epochs(learner, rows, streams, range(400))
    assert losses[-1] < 0.03 * losses[0]
    learner.model.eval()
    with torch.inference_mode():
        tensors = to_tensors(streams, rows, SCALING, CPU)
        output = learner.model(tensors.vectors, tensors.present)
    assert ((output.logit > 0) == tensors.targets["is_viral"].bool()).all()
    assert (output.quantiles[:, 1] - tensors.targets["target"]).abs().max() < 0.2


def test_it_learns_what_generalises(streams: tuple[Stream, ...], make_rows: Make) -> None:
    config = TrainConfig()
    learner = start(streams, config, 15 * 16)
    validation = list(batches(make_rows(500, seed=9), streams, 200))
    before = learner.validate(validation)
    epochs(learner, make_rows(500, seed=1), streams, range(15))
    assert learner.validate(validation) < 0.5 * before


def test_four_epochs_are_two_and_two_more(streams: tuple[Stream, ...], make_rows: Make) -> None:
    rows, config = make_rows(60), TrainConfig(batch_size=16)
    straight = start(streams, config, 16)
    straight_losses = epochs(straight, rows, streams, range(4))
    first = start(streams, config, 16)
    losses = epochs(first, rows, streams, range(2))
    saved = io.BytesIO()
    torch.save({"model": first.model.state_dict(), "learner": first.state()}, saved)
    saved.seek(0)
    state = torch.load(saved, weights_only=True)
    second = start(streams, TrainConfig(batch_size=16, seed=0), 16)
    with torch.no_grad():
        for parameter in second.model.parameters():
            parameter.fill_(7)
    second.model.load_state_dict(state["model"])
    second.load(state["learner"])
    losses += epochs(second, rows, streams, range(2, 4))
    assert losses == straight_losses
    assert same(weights(second), weights(straight))


def test_the_seed_decides_the_weights(streams: tuple[Stream, ...], make_rows: Make) -> None:
    rows = make_rows(40)
    trained = []
    for seed in (3, 3, 4):
        learner = start(streams, TrainConfig(batch_size=16, seed=seed), 6)
        epochs(learner, rows, streams, range(2))
        trained.append(weights(learner))
    assert same(trained[0], trained[1])
    assert not same(trained[0], trained[2])


def test_validation_weighs_posts_not_batches(streams: tuple[Stream, ...], make_rows: Make) -> None:
    learner, rows = start(streams, TrainConfig(), 1), make_rows(10).drop_columns("comments_rate")
    rows = rows.append_column("comments_rate", pa.nulls(10, pa.float32()))
    whole = learner.validate(batches(rows, streams, 10))
    assert learner.validate(batches(rows, streams, 7)) == pytest.approx(whole, rel=1e-6)
    assert learner.validate(batches(rows, streams, 7)) == learner.validate(batches(rows, streams, 7))


def test_no_batches_no_loss(streams: tuple[Stream, ...]) -> None:
    learner = start(streams, TrainConfig(), 1)
    assert math.isnan(learner.train([]))
    assert math.isnan(learner.validate([]))


def test_warm_cosine() -> None:
    factors = [lr_factor("cosine", 100, step) for step in range(130)]
    assert factors[:10] == pytest.approx([0.1 * step for step in range(1, 11)])
    assert max(factors) == 1
    assert all(later <= earlier for earlier, later in itertools.pairwise(factors[9:]))
    assert factors[55] == pytest.approx(0.01 + 0.99 / 2)
    assert factors[100:] == pytest.approx([0.01] * 30)
    assert [lr_factor("cosine", steps, 0) for steps in (0, 1, 2)] == [1, 1, 1]


def test_the_schedule_goes_on_from_any_step(streams: tuple[Stream, ...], make_rows: Make) -> None:
    """As needed when the number of workers, and with it the steps per epoch, has changed."""
    rows, config = make_rows(48), TrainConfig(batch_size=16, learning_rate=1e-3)
    learner = start(streams, config, 12)
    epochs(learner, rows, streams, range(2))
    rates = [group["lr"] for group in learner.optimiser.param_groups]
    assert rates == pytest.approx([1e-3 * lr_factor("cosine", 12, 6), 1e-4 * lr_factor("cosine", 12, 6)])
    learner.seek(6)
    assert [group["lr"] for group in learner.optimiser.param_groups] == rates
    learner.seek(9)
    assert learner.optimiser.param_groups[0]["lr"] == pytest.approx(1e-3 * lr_factor("cosine", 12, 9))
    epochs(learner, rows, streams, range(3, 4))
    assert learner.optimiser.param_groups[0]["lr"] == pytest.approx(1e-3 * lr_factor("cosine", 12, 12))


def test_a_constant_rate_has_a_warm_up_too() -> None:
    factors = [lr_factor("constant", 100, step) for step in range(130)]
    assert factors[:10] == pytest.approx([0.1 * step for step in range(1, 11)])
    assert factors[10:] == [1.0] * 120


def test_what_the_config_says_is_done(streams: tuple[Stream, ...], make_rows: Make) -> None:
    def moved(**changed: Any) -> float:
        config = TrainConfig(
            **{"batch_size": 32, "schedule": "constant", "optimizer": "sgd", "precision": "float32", **changed}
        )
        learner = start(streams, config, 1)
        before = weights(learner)
        learner.train(batches(make_rows(32), streams, 32))
        after = weights(learner)
        return math.sqrt(sum(float((after[name] - before[name]).square().sum()) for name in after))

    shortened = moved(learning_rate=0.01, clip=0.1)
    assert 0 < shortened <= 0.01 * 0.1 * 1.001
    assert moved(learning_rate=0.03, clip=0.1) == pytest.approx(3 * shortened, rel=1e-3)
    assert moved(learning_rate=0.01, clip=0.2) == pytest.approx(2 * shortened, rel=1e-3)
    assert moved(viral_weight=5.0, clip=100.0) != moved(clip=100.0)
    assert moved(focal=2.0, clip=100.0) != moved(clip=100.0)


def test_a_balanced_weight_is_counted() -> None:
    assert TrainConfig(viral_weight="balanced").resolve_viral_weight(0.1).viral_weight == pytest.approx(9)
    assert TrainConfig(viral_weight="balanced").resolve_viral_weight(1.0).viral_weight == 1
    assert TrainConfig(viral_weight=3.0).resolve_viral_weight(0.1).viral_weight == 3


def test_bfloat16_where_asked_for(streams: tuple[Stream, ...], make_rows: Make) -> None:
    assert not use_bfloat16("auto", CPU)
    assert use_bfloat16("bfloat16", CPU)
    assert not use_bfloat16("float32", CPU)
    rows = make_rows(64)
    exact = start(streams, TrainConfig(precision="float32"), 1).validate(batches(rows, streams, 64))
    rounded = start(streams, TrainConfig(precision="bfloat16"), 1)
    assert rounded.validate(batches(rows, streams, 64)) == pytest.approx(exact, rel=0.02)
    assert math.isfinite(rounded.train(batches(rows, streams, 64)))
