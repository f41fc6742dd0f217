"""The fusion model: gates, subsets of modalities, and its output for each."""

from __future__ import annotations

import itertools
import math

import pytest
import torch

from viral.datasets.streams import Stream
from viral.errors import ConfigError
from viral.models.fusion import Fusion, NetworkOutput, drop_modalities, set_statistics
from viral.models.fusion_config import RATES, FusionConfig
from viral.models.losses import fusion_loss

STREAMS = (
    *(Stream("metadata", "metadata", 5), Stream("caption", "text", 7)),
    *(Stream("acoustics", "audio", 3), Stream("frames", "image", 4)),
)
SUBSETS = [list(subset) for subset in itertools.product([False, True], repeat=len(STREAMS)) if any(subset)]


def make_model(gates: dict[str, float] | None = None, seed: int = 0, spread: float = 0.5) -> Fusion:
    """A model with random parameters, as after training."""
    torch.manual_seed(seed)
    model = Fusion(FusionConfig(STREAMS, gates=gates))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(0, spread)
    return model.eval()


def some_vectors(count: int, seed: int = 1) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {stream.name: torch.randn(count, stream.dim, generator=generator) for stream in STREAMS}


def every_subset() -> tuple[dict[str, torch.Tensor], torch.Tensor]:
    """The same post with each non-empty subset of its streams."""
    post = some_vectors(1)
    return {name: vector.repeat(len(SUBSETS), 1) for name, vector in post.items()}, torch.tensor(SUBSETS)


GATES = [None, {"metadata": 1.0, "caption": 2.0, "acoustics": 0.0, "frames": 0.5}]


@pytest.mark.parametrize("gates", GATES)
def test_every_subset_of_streams_gives_finite_output(gates: dict[str, float] | None) -> None:
    assert len(SUBSETS) == 2 ** len(STREAMS) - 1
    vectors, present = every_subset()
    with torch.inference_mode():
        output = make_model(gates)(vectors, present)
    assert all(part.isfinite().all() for part in output)
    assert output.logit.shape == (15,)
    assert output.quantiles.shape == output.rates.shape == (15, 3)


@pytest.mark.parametrize("gates", GATES)
def test_gates_sum_to_one_over_what_is_there(gates: dict[str, float] | None) -> None:
    vectors, present = every_subset()
    with torch.inference_mode():
        output = make_model(gates)(vectors, present)
    torch.testing.assert_close(output.contributions.sum(dim=1), torch.ones(len(SUBSETS)))
    assert (output.contributions[~present] == 0).all()
    assert (output.contributions >= 0).all()


def test_at_first_all_streams_that_are_there_weigh_the_same() -> None:
    vectors, present = every_subset()
    output = Fusion(FusionConfig(STREAMS)).eval()(vectors, present)
    torch.testing.assert_close(output.contributions, present / present.sum(dim=1, keepdim=True))


@pytest.mark.parametrize("gates", GATES)
def test_what_stands_in_an_absent_streams_place_does_not_matter(gates: dict[str, float] | None) -> None:
    vectors, present = every_subset()
    others = {
        stream.name: torch.where(present[:, index, None], vectors[stream.name], 1e6)
        for index, stream in enumerate(STREAMS)
    }
    with torch.inference_mode():
        model = make_model(gates)
        assert all(torch.equal(a, b) for a, b in zip(model(vectors, present), model(others, present), strict=True))


def test_presence_itself_is_information() -> None:
    """With learned gates, the presence of another stream changes the weights."""
    vectors, present = every_subset()
    with torch.inference_mode():
        output = make_model()(vectors, present)
    both = SUBSETS.index([True, True, False, False])
    three = SUBSETS.index([True, True, True, False])
    ratios = output.contributions[:, 0] / output.contributions[:, 1]
    assert abs(float(ratios[both] - ratios[three])) > 1e-3


def alone(model: Fusion, vectors: dict[str, torch.Tensor], index: int) -> NetworkOutput:
    """The output if only this stream is present."""
    present = torch.zeros(len(vectors["caption"]), len(STREAMS), dtype=torch.bool)
    present[:, index] = True
    output: NetworkOutput = model(vectors, present)
    return output


def test_fixed_gates_are_the_weighted_sum_of_each_stream_alone() -> None:
    weights = {"metadata": 0.4, "caption": 0.3, "acoustics": 0.2, "frames": 0.1}
    model, vectors = make_model(weights, spread=0.2), some_vectors(20)
    with torch.inference_mode():
        output = model(vectors, torch.ones(20, 4, dtype=torch.bool))
        parts = [alone(model, vectors, index) for index in range(4)]
    for name in ("logit", "rates"):
        summed = sum(weight * getattr(part, name) for weight, part in zip(weights.values(), parts, strict=True))
        torch.testing.assert_close(getattr(output, name), summed, rtol=0, atol=1e-6)
    medians = sum(weight * part.quantiles[:, 1] for weight, part in zip(weights.values(), parts, strict=True))
    torch.testing.assert_close(output.quantiles[:, 1], medians, rtol=0, atol=1e-6)


def test_learned_gates_too_weigh_what_each_stream_alone_says() -> None:
    model, vectors = make_model(), some_vectors(20)
    present = torch.rand(20, 4, generator=torch.Generator().manual_seed(2)) < 0.7
    present[:, 1] = True
    with torch.inference_mode():
        output = model(vectors, present)
        logits = torch.stack([alone(model, vectors, index).logit for index in range(4)], dim=1)
    torch.testing.assert_close(output.logit, (output.contributions * logits).sum(dim=1), rtol=0, atol=1e-4)


def test_fixed_gates_share_out_what_is_absent() -> None:
    model = make_model({"metadata": 3.0, "caption": 1.0, "acoustics": 0.0, "frames": 1e-20})
    present = torch.tensor([[True, True, False, False], [False, False, True, False], [False, False, True, True]])
    gates = model(some_vectors(3), present).contributions
    torch.testing.assert_close(gates[0], torch.tensor([0.75, 0.25, 0.0, 0.0]))
    torch.testing.assert_close(gates[1], torch.tensor([0.0, 0.0, 1.0, 0.0]))  # of weight zero, but the only stream
    torch.testing.assert_close(gates[2], torch.tensor([0.0, 0.0, 0.0, 1.0]))


@pytest.mark.parametrize(
    "gates",
    [
        {},
        {"metadata": 1.0},
        {"metadata": 1.0, "caption": 1.0, "acoustics": 1.0, "other": 1.0},
        {"metadata": 0.0, "caption": 0.0, "acoustics": 0.0, "frames": 0.0},
        {"metadata": -1.0, "caption": 1.0, "acoustics": 1.0, "frames": 1.0},
        {"metadata": math.nan, "caption": 1.0, "acoustics": 1.0, "frames": 1.0},
        {"metadata": math.inf, "caption": 1.0, "acoustics": 1.0, "frames": 1.0},
    ],
)
def test_gates_that_cannot_be(gates: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=r"^fixed gates need a weight .* for each of metadata, caption, acoustics"):
        Fusion(FusionConfig(STREAMS, gates=gates))


def test_quantiles_never_cross() -> None:
    for seed in range(20):
        model = make_model(seed=seed)
        with torch.inference_mode():
            quantiles = model(some_vectors(200, seed), torch.ones(200, 4, dtype=torch.bool)).quantiles
        assert (quantiles.diff(dim=1) >= 0).all()


def test_outliers_are_held() -> None:
    model, vectors = make_model(), some_vectors(2)
    vectors["caption"][0] = 1e30
    with torch.inference_mode():
        assert model(vectors, torch.ones(2, 4, dtype=torch.bool)).quantiles.abs().max() < 1e4


def test_statistics_standardise() -> None:
    plain, scaled = make_model(), make_model()
    set_statistics(
        scaled,
        {stream.name: [10.0] * stream.dim for stream in STREAMS},
        {stream.name: [4.0] * stream.dim for stream in STREAMS},
    )
    vectors, present = some_vectors(10), torch.ones(10, 4, dtype=torch.bool)
    moved = {name: vector * 4 + 10 for name, vector in vectors.items()}
    torch.testing.assert_close(scaled(moved, present).logit, plain(vectors, present).logit, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("probability", [0.25, 0.9, 1.0])
def test_modality_dropout_never_hides_the_last_stream(probability: float) -> None:
    present = torch.rand(5000, 4, generator=torch.Generator().manual_seed(0)) < 0.5
    present[:, 0] |= ~present.any(dim=1)
    torch.manual_seed(1)
    visible = drop_modalities(present, probability)
    assert visible.any(dim=1).all()
    assert not (visible & ~present).any()
    several = present.sum(dim=1) == 4
    expected = (1 - probability) + (probability**4 if probability < 1 else 1)
    assert abs(float(visible[several].float().mean()) - expected) < 0.06


def test_modality_dropout_is_for_training_only() -> None:
    model, vectors, present = make_model(spread=0.1), some_vectors(50), torch.ones(50, 4, dtype=torch.bool)
    assert torch.equal(model(vectors, present).contributions, model(vectors, present).contributions)
    assert not (model(vectors, present).contributions == 0).any()
    assert (model.train()(vectors, present).contributions == 0).any()


@pytest.mark.parametrize("gates", GATES)
def test_gradients_reach_every_parameter(gates: dict[str, float] | None) -> None:
    vectors, present = every_subset()
    model = make_model(gates).train()
    targets = {
        "target": torch.linspace(-20, 20, len(SUBSETS)),
        "is_viral": (torch.arange(len(SUBSETS)) % 2).float(),
        **{name: torch.linspace(-3, 3, len(SUBSETS)) for name in RATES},
    }
    fusion_loss(model(vectors, present), targets).backward()
    for name, parameter in model.named_parameters():
        if gates is not None and name.startswith("gate."):
            assert not parameter.requires_grad
            continue
        # A stream of weight zero has no gradient, nor, with fixed gates, the tokens of absent ones.
        silent = gates is not None and ("acoustics" in name or name == "absent")
        assert parameter.grad is not None
        assert parameter.grad.isfinite().all(), name
        assert silent or (parameter.grad != 0).any(), name
