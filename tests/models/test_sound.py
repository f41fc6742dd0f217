"""The sound model: its shape, and what it learns."""

from __future__ import annotations

import itertools
from dataclasses import asdict

import numpy as np
import pytest
import torch

from viral.datasets.streams import Stream
from viral.errors import ConfigError
from viral.models.fusion import set_statistics
from viral.models.fusion_config import FusionConfig
from viral.models.networks import network
from viral.models.sound import SoundNetwork
from viral.models.start import check_start
from viral.models.train_config import TrainConfig
from viral.models.training import Learner, TensorBatch
from viral.registry.registry import ModelVersion

STEPS, BANDS = 32, 32
STREAM = Stream("logmel", "audio", STEPS * BANDS, STEPS)
CONFIG = FusionConfig((STREAM,), architecture="sound", width=16)


def spectrograms(count: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Noise at -60 dB with a tone of some pitch for some steps; the target is the pitch."""
    rng = np.random.default_rng(seed)
    grid = rng.normal(-60, 5, (count, STEPS, BANDS))
    pitch = rng.integers(0, BANDS, count)
    for row in range(count):
        start = rng.integers(0, STEPS // 2)
        grid[row, start : start + STEPS // 2, pitch[row]] += 50
    target = (pitch - BANDS / 2) / (BANDS / 3.5)
    return torch.tensor(grid.reshape(count, -1), dtype=torch.float32), torch.tensor(target, dtype=torch.float32)


def tensors(vectors: torch.Tensor, target: torch.Tensor) -> TensorBatch:
    unknown = torch.full_like(target, torch.nan)
    rates = dict.fromkeys(("likes_rate", "comments_rate", "shares_rate"), unknown)
    present = torch.ones(len(target), 1, dtype=torch.bool)
    return TensorBatch({"logmel": vectors}, present, {"target": target, "is_viral": (target > 0.9).float(), **rates})


def start(vectors: torch.Tensor, config: TrainConfig, steps: int) -> Learner:
    torch.manual_seed(config.seed)
    model = network(CONFIG)
    wide = vectors.double()
    set_statistics(model, {"logmel": wide.mean(0).tolist()}, {"logmel": wide.std(0).tolist()})
    return Learner(model, config, steps)


def fit(learner: Learner, vectors: torch.Tensor, target: torch.Tensor, epochs: int) -> list[float]:
    losses = []
    for epoch in range(epochs):
        order = torch.from_numpy(np.random.default_rng(epoch).permutation(len(target)))
        losses.append(learner.train(tensors(vectors[rows], target[rows]) for rows in order.split(32)))
    return losses


@pytest.fixture(scope="module")
def trained() -> tuple[Learner, list[float]]:
    torch.set_num_threads(1)
    vectors, target = spectrograms(256, 0)
    learner = start(vectors, TrainConfig(optimizer="adam", loss="squared", learning_rate=3e-3), 12 * 8)
    return learner, fit(learner, vectors, target, 12)


def predict(model: torch.nn.Module, vectors: torch.Tensor) -> torch.Tensor:
    model.eval()
    with torch.inference_mode():
        quantiles: torch.Tensor = model({"logmel": vectors}, torch.ones(len(vectors), 1, dtype=torch.bool)).quantiles
    return quantiles[:, 1]


def test_it_learns_what_can_be_heard(trained: tuple[Learner, list[float]]) -> None:
    learner, losses = trained
    vectors, target = spectrograms(200, 1)
    assert losses[-1] < 0.5 * losses[0]
    predicted = predict(learner.model, vectors)
    assert np.corrcoef(predicted, target)[0, 1] > 0.9
    assert float((predicted - target).square().mean()) < 0.25 * float(target.var())


def test_going_on_with_sgd_lowers_the_loss_further(trained: tuple[Learner, list[float]]) -> None:
    learner, losses = trained
    vectors, target = spectrograms(256, 0)
    config = TrainConfig(optimizer="sgd", loss="squared", learning_rate=3e-3)
    again = start(vectors, config, 8 * 8)
    again.model.load_state_dict(learner.model.state_dict())
    assert isinstance(again.optimiser, torch.optim.SGD)
    assert fit(again, vectors, target, 8)[-1] < losses[-1]


def test_evaluation_does_not_depend_on_neighbours(trained: tuple[Learner, list[float]]) -> None:
    learner, _ = trained
    vectors, _ = spectrograms(64, 2)
    whole = predict(learner.model, vectors)
    others = torch.cat([vectors[:1], 1000 * torch.randn(63, STREAM.dim)])
    assert predict(learner.model, others)[0] == whole[0]


def test_its_shape() -> None:
    model = network(CONFIG)
    assert isinstance(model, SoundNetwork)
    layers = [type(layer).__name__ for block in model.blocks for layer in block]
    assert layers == ["Conv2d", "ReLU", "BatchNorm2d"] * 4
    weights = model.blocks[2][0].weight
    assert float(weights.detach().std()) == pytest.approx((2 / (8 * 9)) ** 0.5, rel=0.1)  # He et al. 2015
    answer = model({"logmel": torch.randn(3, STREAM.dim)}, torch.ones(3, 1, dtype=torch.bool))
    assert answer.contributions.tolist() == [[1.0]] * 3
    assert answer.quantiles.shape == (3, 3)
    assert all(low <= high for row in answer.quantiles.tolist() for low, high in itertools.pairwise(row))


def test_bands_are_standardised_over_all_moments() -> None:
    vectors, _ = spectrograms(300, 3)
    learner = start(vectors, TrainConfig(), 1)
    picture = learner.model.projections["logmel"](vectors)
    assert picture.shape == (300, 1, BANDS, STEPS)
    of_band = picture.clone().transpose(0, 2).flatten(1)
    assert of_band.mean(1).abs().max() < 0.02
    assert (of_band.std(1) - 1).abs().max() < 0.05


@pytest.mark.parametrize(
    "streams",
    [(Stream("acoustics", "audio", 155),), (STREAM, Stream("caption", "text", 8)), (Stream("short", "audio", 64, 8),)],
)
def test_it_hears_one_spectrogram_alone(streams: tuple[Stream, ...]) -> None:
    with pytest.raises(ConfigError, match=f"takes one spectrogram .*, not .*{streams[-1].name}"):
        network(FusionConfig(streams, architecture="sound"))


def saved(**changed: object) -> ModelVersion:
    from viral.extractors.feature_set import FeatureSet

    card = {"kind": "network", "config": asdict(CONFIG), "feature_set": FeatureSet.named("sound").to_dict()}
    return ModelVersion("s", 2, {**card, **changed}, b"")


def test_what_cannot_be_gone_on_from() -> None:
    from viral.extractors.feature_set import FeatureSet

    sound, light = FeatureSet.named("sound"), FeatureSet.named("light")
    check_start(saved(), sound, [STREAM], "sound")
    with pytest.raises(ConfigError, match="cannot continue from s/2: its architecture is gated, not sound"):
        check_start(saved(config=asdict(FusionConfig((STREAM,)))), sound, [STREAM], "sound")
    with pytest.raises(ConfigError, match="its architecture is trees, not sound"):
        check_start(saved(kind="trees"), sound, [STREAM], "sound")
    with pytest.raises(ConfigError, match=f"trained on feature set sound-{sound.fingerprint}, not on light-"):
        check_start(saved(), light, [STREAM], "sound")
    with pytest.raises(ConfigError, match="its inputs are logmel, not caption"):
        check_start(saved(), sound, [Stream("caption", "text", 3)], "sound")
