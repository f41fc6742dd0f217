"""Properties of every architecture, and that each finds the modality that matters."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import nn

from viral.datasets.streams import Stream
from viral.errors import ConfigError
from viral.models.fusion import NetworkOutput, set_statistics
from viral.models.fusion_config import MEDIAN, RATES, FusionConfig
from viral.models.losses import fusion_loss
from viral.models.networks import FUSIONS, network
from viral.models.readout import Readout
from viral.models.train_config import TrainConfig
from viral.models.training import Learner, TensorBatch

STREAMS = (
    *(Stream("metadata", "metadata", 5), Stream("caption", "text", 7)),
    *(Stream("acoustics", "audio", 3), Stream("clips", "video", 12, tokens=3)),
)
SUBSETS = torch.tensor(
    [list(subset) for subset in itertools.product([False, True], repeat=len(STREAMS)) if any(subset)]
)
ALL = pytest.mark.parametrize("architecture", FUSIONS)


def make_network(architecture: str, spread: float = 0.3) -> nn.Module:
    """A network with random parameters, as after training."""
    torch.manual_seed(0)
    model = network(FusionConfig(STREAMS, architecture))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(0, spread)
    return model.eval()


def some_vectors(count: int, seed: int = 1) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {stream.name: torch.randn(count, stream.dim, generator=generator) for stream in STREAMS}


def of_every_subset() -> dict[str, torch.Tensor]:
    return {name: vector.repeat(len(SUBSETS), 1) for name, vector in some_vectors(1).items()}


def run(model: nn.Module, vectors: dict[str, torch.Tensor], present: torch.Tensor) -> NetworkOutput:
    with torch.inference_mode():
        output: NetworkOutput = model(vectors, present)
    return output


@ALL
def test_every_subset_has_an_answer_and_shares(architecture: str) -> None:
    output = run(make_network(architecture), of_every_subset(), SUBSETS)
    assert all(part.isfinite().all() for part in output)
    assert (output.quantiles.diff(dim=1) >= 0).all()
    assert (output.contributions >= 0).all()
    assert (output.contributions[~SUBSETS] == 0).all()
    torch.testing.assert_close(output.contributions.sum(dim=1), torch.ones(len(SUBSETS)))
    assert len(output.logit.unique()) > len(STREAMS)  # for the same post, by its present streams


@ALL
def test_what_stands_in_an_absent_streams_place_does_not_matter(architecture: str) -> None:
    vectors, model = of_every_subset(), make_network(architecture)
    others = {
        stream.name: torch.where(SUBSETS[:, index, None], vectors[stream.name], 1e6)
        for index, stream in enumerate(STREAMS)
    }
    pairs = zip(run(model, vectors, SUBSETS), run(model, others, SUBSETS), strict=True)
    assert all(torch.equal(left, right) for left, right in pairs)


@ALL
def test_a_post_does_not_depend_on_its_neighbours(architecture: str) -> None:
    model, vectors, other = make_network(architecture), some_vectors(64), some_vectors(64, seed=2)
    mixed = {name: torch.cat([vector[:1], other[name][1:]]) for name, vector in vectors.items()}
    present = torch.ones(64, len(STREAMS), dtype=torch.bool)
    pairs = zip(run(model, vectors, present), run(model, mixed, present), strict=True)
    assert all(torch.equal(left[0], right[0]) for left, right in pairs)


@ALL
def test_statistics_standardise(architecture: str) -> None:
    plain, scaled = make_network(architecture), make_network(architecture)
    names = [(stream.name, stream.dim) for stream in STREAMS]
    set_statistics(scaled, {name: [10.0] * dim for name, dim in names}, {name: [4.0] * dim for name, dim in names})
    vectors, present = some_vectors(10), torch.ones(10, len(STREAMS), dtype=torch.bool)
    moved = {name: vector * 4 + 10 for name, vector in vectors.items()}
    expected = run(plain, vectors, present).logit
    torch.testing.assert_close(run(scaled, moved, present).logit, expected, rtol=1e-3, atol=1e-3)


@ALL
def test_gradients_reach_every_parameter_and_streams_are_hidden_in_training(architecture: str) -> None:
    model, vectors, count = make_network(architecture).train(), some_vectors(64), 64
    present = torch.ones(count, len(STREAMS), dtype=torch.bool)
    targets = {name: torch.linspace(-3, 3, count) for name in ("target", *RATES)}
    output: NetworkOutput = model(vectors, present)
    assert (output.contributions == 0).any()
    fusion_loss(output, targets | {"is_viral": (torch.arange(count) % 2).float()}).backward()
    for name, parameter in model.named_parameters():
        silent = architecture == "weighted" and name == "absent"  # its gate ignores presence
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert silent or (parameter.grad != 0).any(), name


@ALL
@pytest.mark.parametrize("matters", range(len(STREAMS)))
def test_the_modality_that_matters_has_the_largest_share(architecture: str, matters: int) -> None:
    """The target follows one stream alone; another of the four is absent from a third of the posts."""
    vectors, count = some_vectors(256), 256
    present = torch.ones(count, len(STREAMS), dtype=torch.bool)
    present[::3, (matters + 1) % len(STREAMS)] = False
    target = vectors[STREAMS[matters].name][:, 0]
    targets = {"target": target, "is_viral": (target > 1).float()}
    batch = TensorBatch(vectors, present, targets | {name: torch.full((count,), float("nan")) for name in RATES})
    torch.manual_seed(0)
    model = network(FusionConfig(STREAMS, architecture, width=16))
    learner = Learner(model, TrainConfig(learning_rate=2e-2), steps=80)
    learner.train([batch] * 80)
    output = run(model.eval(), vectors, present)
    shares = output.contributions[present.all(dim=1)].mean(dim=0)
    assert int(shares.argmax()) == matters, shares
    assert shares[matters] > 0.4
    assert torch.corrcoef(torch.stack([output.quantiles[:, 1], target]))[0, 1] > 0.8


def test_shares_are_of_what_adds_up_to_the_prediction() -> None:
    """Of two streams that pull apart, the size counts; together they make the difference to an average post."""
    torch.manual_seed(0)
    readout = Readout(2, 8, 0.0).eval()
    parts, present = torch.randn(50, 2, 8), torch.ones(50, 2, dtype=torch.bool)
    shares = run(readout, parts, present).contributions
    average = run(readout, torch.zeros(50, 2, 8), present).quantiles[:, 1]
    change = run(readout, parts, present).quantiles[:, 1] - average
    base, whole = readout.base(present.float()), parts.sum(dim=1)
    slope = (nn.functional.gelu(base + whole) - nn.functional.gelu(base)) / whole
    added = torch.einsum("nsh,nh->ns", parts, slope * readout.head.weight[MEDIAN])
    torch.testing.assert_close(added.sum(dim=1), change, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(shares, added.abs() / added.abs().sum(dim=1, keepdim=True), rtol=1e-2, atol=1e-2)
    equal = run(readout, torch.zeros(1, 2, 8), present[:1]).contributions
    torch.testing.assert_close(equal, torch.tensor([[0.5, 0.5]]))


def test_the_weights_of_a_weighted_sum_are_the_same_for_all_posts() -> None:
    present = torch.ones(20, len(STREAMS), dtype=torch.bool)
    gates = run(make_network("weighted"), some_vectors(20), present).contributions
    assert torch.equal(gates, gates[:1].expand_as(gates))
    assert len(gates[0].unique()) == len(STREAMS)
    present[0, 0] = False
    without = run(make_network("weighted"), some_vectors(20), present).contributions
    torch.testing.assert_close(without[0, 1:], gates[0, 1:] / gates[0, 1:].sum())


def test_attention_takes_each_token_by_itself() -> None:
    """A stream of three tokens is three vectors: the output differs when two of them are swapped."""
    model, vectors = make_network("attention"), some_vectors(4)
    present = torch.ones(4, len(STREAMS), dtype=torch.bool)
    swapped = vectors | {"clips": vectors["clips"].unflatten(1, (3, 4))[:, [1, 0, 2]].flatten(1)}
    model.projections["clips"].place.data.zero_()
    torch.testing.assert_close(run(model, swapped, present).logit, run(model, vectors, present).logit)
    model.projections["clips"].place.data[0] = 3.0
    assert not torch.allclose(run(model, swapped, present).logit, run(model, vectors, present).logit)


def test_what_cannot_be() -> None:
    with pytest.raises(ConfigError, match="no architecture is named 'other': choose from gated, weighted, concat"):
        network(FusionConfig(STREAMS, "other"))
    with pytest.raises(ConfigError, match="13 values, which cannot be cut into 3 tokens"):
        network(FusionConfig((Stream("clips", "video", 13, tokens=3),), "attention"))
    for architecture in ("concat", "attention"):
        with pytest.raises(ConfigError, match=f"for the architectures gated and weighted, not for {architecture}"):
            network(FusionConfig(STREAMS, architecture, gates=dict.fromkeys(("metadata", "caption"), 1.0)))
