"""A network over clips: what it learns, what stays frozen, and that it agrees with its extractor's vectors."""

from __future__ import annotations

import copy
from collections.abc import Iterator

import numpy as np
import pytest
import torch

from viral.datasets.streams import Stream
from viral.errors import ConfigError
from viral.extractors.clip_network import as_clip_network, clip_network
from viral.extractors.extractor import PostInput
from viral.media.media import ClipBatch as MediaClips
from viral.media.media import Facts, Media
from viral.models.fusion import NetworkOutput
from viral.models.fusion_config import RATES, FusionConfig
from viral.models.linear import LinearNetwork
from viral.models.losses import fusion_loss
from viral.models.train_config import TrainConfig
from viral.models.video import ClipTensors, VideoNetwork, task_loss
from viral.models.video_config import VideoConfig
from viral.models.video_training import VideoLearner
from viral.weights.resolve import resolve_local

SPEC = clip_network("r2plus1d", {"weights": "random", "frames": 2, "size": 32, "clips": 2})
STREAM = Stream("r2plus1d", "video", SPEC.dim)
TINY = VideoConfig(frozen_epochs=0, epochs=1, dropout=0.0, learning_rate=1e-2, backbone_rate=0.03)


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def base_model() -> VideoNetwork:
    spec = as_clip_network(SPEC)
    torch.manual_seed(0)
    return VideoNetwork(spec, spec.load_network(resolve_local), heads())


@pytest.fixture
def model(base_model: VideoNetwork) -> VideoNetwork:
    return copy.deepcopy(base_model)


def heads(dropout: float = 0.0) -> LinearNetwork:
    return LinearNetwork(FusionConfig((STREAM,), architecture="linear", dropout=dropout))


def clips(bright: torch.Tensor, seed: int = 0) -> ClipTensors:
    """A clip of noise a post, on a bright ground or on a dark one; the bright ones are viral."""
    noise = torch.from_numpy(np.random.default_rng(seed).integers(0, 60, (len(bright), 2, 32, 32, 3), np.uint8))
    targets = {"is_viral": bright.float(), "target": bright * 2.0 - 1, **dict.fromkeys(RATES, bright * torch.nan)}
    return ClipTensors(noise + (bright * 120).to(torch.uint8).view(-1, 1, 1, 1, 1), [1] * len(bright), targets)


def test_bright_clips_are_told_from_dark_ones(model: VideoNetwork) -> None:
    torch.manual_seed(0)
    learner = VideoLearner(model, TINY, steps=8)
    turns = [torch.tensor([1, 0, 1, 0, 0, 1])[torch.randperm(6)] for _ in range(8)]
    total, steps = learner.train(([clips(turn, seed)] for seed, turn in enumerate(turns)), epoch=0)
    assert steps == 8
    new = clips(torch.tensor([1, 0, 0, 1, 1, 0]), seed=99)
    after, rows = learner.validate([new])
    assert after / rows < 0.7 * total / steps
    output = model(new.pixels, new.clips)
    assert (output.logit > 0).tolist() == [True, False, False, True, True, False]
    assert (output.quantiles[:, 1] > 0).tolist() == [True, False, False, True, True, False]


def test_frozen_only_the_heads_learn_and_statistics_stay(model: VideoNetwork) -> None:
    before = copy.deepcopy(model.state_dict())
    learner = VideoLearner(model, VideoConfig(frozen_epochs=1, epochs=2, precision="float32"), steps=2)
    batch = clips(torch.tensor([1, 0, 1, 0]))

    def changed() -> set[str]:
        state = model.state_dict()
        return {name.split(".")[0] for name in state if not torch.equal(state[name], before[name])}

    learner.train([[batch], [batch]], epoch=0)
    assert changed() == {"heads"}
    learner.train([[batch], [batch]], epoch=1)
    assert changed() == {"heads", "backbone"}
    statistics = [name for name in before if "running" in name]
    assert statistics
    assert all(torch.equal(model.state_dict()[name], before[name]) for name in statistics)


def test_training_goes_on_from_a_checkpoint_as_if_it_had_never_stopped(model: VideoNetwork) -> None:
    config = VideoConfig(frozen_epochs=1, epochs=2, dropout=0.0)
    epochs = [[[clips(torch.tensor([1, 0]), seed)]] for seed in range(2)]
    learner = VideoLearner(model, config, steps=1)
    learner.train(epochs[0], epoch=0)
    saved = copy.deepcopy((model.state_dict(), learner.state()))
    straight = learner.train(epochs[1], epoch=1)
    restored = copy.deepcopy(model)
    restored.load_state_dict(saved[0])
    again = VideoLearner(restored, config, steps=1)
    again.load(saved[1])
    assert again.train(epochs[1], epoch=1) == straight
    assert all(torch.equal(values, restored.state_dict()[name]) for name, values in model.state_dict().items())


def test_batches_of_a_step_add_up_to_one_and_one_that_weighs_nothing_counts_nothing(model: VideoNetwork) -> None:
    whole = clips(torch.tensor([1, 0, 1, 0]))

    def part(rows: slice, weight: float = 1.0) -> ClipTensors:
        targets = {name: values[rows] for name, values in whole.targets.items()}
        return ClipTensors(whole.pixels[rows], whole.clips[rows], targets, weight)

    results = []
    for batches in ([whole], [part(slice(0, 3)), part(slice(3, 4))], [whole, part(slice(0, 2), weight=0.0)]):
        copied = copy.deepcopy(model)
        learner = VideoLearner(copied, VideoConfig(frozen_epochs=1, dropout=0.0, precision="float32"), steps=1)
        loss, _ = learner.train([batches], epoch=0)
        gradient = copied.heads.head.weight.grad
        assert gradient is not None
        results.append((loss, gradient.numpy().copy()))
    assert [loss for loss, _ in results] == pytest.approx([results[0][0]] * 3)
    assert np.abs(results[0][1]).max() > 1e-4
    for _, gradient in results[1:]:
        assert gradient == pytest.approx(results[0][1], abs=1e-6)
    assert learner.train([[part(slice(0, 2), weight=0.0)]], epoch=0) == (0.0, 0)


def test_the_heads_on_an_extractors_vector_say_what_the_network_says(model: VideoNetwork) -> None:
    torch.nn.init.normal_(model.heads.head.weight)
    (need,) = as_clip_network(SPEC).needs
    data = np.random.default_rng(3).integers(0, 256, (2, need.frames, *need.size, 3), np.uint8)
    sample = PostInput(Media(Facts(), {need: MediaClips(data, np.zeros((2, need.frames)))}))
    vector = SPEC.load("cpu", resolve_local)(sample)
    assert vector is not None
    pixels = as_clip_network(SPEC).pixels(sample)
    model.eval()
    with torch.inference_mode():
        seen = model(torch.from_numpy(pixels), [2])
        output = model.heads({"r2plus1d": torch.from_numpy(vector)[None]}, torch.ones(1, 1, dtype=torch.bool))
    # The extractor's network is folded, so the two sum the same products in another order.
    torch.testing.assert_close(seen.quantiles, output.quantiles, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(seen.logit, output.logit, rtol=1e-4, atol=1e-4)


def test_heads_begin_as_the_constant_predictor() -> None:
    linear = heads(dropout=0.5).eval()
    linear.init_biases(0.25, {4: -2.5})
    output: NetworkOutput = linear({"r2plus1d": torch.randn(3, 512)}, torch.ones(3, 1, dtype=torch.bool))
    assert torch.sigmoid(output.logit).tolist() == pytest.approx([0.25] * 3)
    assert output.quantiles[1].tolist() == pytest.approx([-1.645, 0.0, 1.645], abs=1e-4)
    assert output.rates[0].tolist() == [-2.5, 0, 0]
    assert output.contributions.tolist() == [[1.0]] * 3
    with pytest.raises(ConfigError, match="takes one stream, not 2"):
        LinearNetwork(FusionConfig((STREAM, STREAM), architecture="linear"))


def test_each_task_trains_its_own_heads_alone() -> None:
    torch.manual_seed(0)
    vectors, present = {"r2plus1d": torch.randn(6, 512)}, torch.ones(6, 1, dtype=torch.bool)
    targets = {"is_viral": torch.tensor([1.0, 0, 0, 1, 0, 1]), "target": torch.randn(6)}
    targets |= {name: torch.randn(6) for name in RATES}
    rows = {}
    for task in ("viral", "score", "both"):
        linear = heads()
        task_loss(linear(vectors, present), targets, task, "quantile").backward()
        gradient = linear.head.weight.grad
        assert gradient is not None
        rows[task] = {output_index for output_index in range(4) if gradient[output_index].abs().max() > 0}
    assert rows == {"viral": {0}, "score": {1, 2, 3}, "both": {0, 1, 2, 3}}
    output = heads()(vectors, present)
    assert torch.equal(
        task_loss(output, targets, "both", "squared"), fusion_loss(output, targets, TrainConfig(loss="squared"))
    )


def test_what_cannot_be_trained_on_clips() -> None:
    with pytest.raises(ConfigError, match="'resnet50' cannot be trained on clips: choose from r2plus1d, vivit"):
        clip_network("resnet50", {})
    with pytest.raises(ConfigError, match=r"frames: Input should be greater than or equal to 2"):
        clip_network("r2plus1d", {"frames": 1})
