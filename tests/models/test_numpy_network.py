"""The forward pass in numpy: it gives what torch gives, in batches of any size, and loads without torch."""

from __future__ import annotations

import itertools
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save

from tests.models.test_networks import STREAMS, SUBSETS
from viral.datasets.streams import Batch
from viral.models.fusion import set_statistics
from viral.models.fusion_config import FusionConfig
from viral.models.network_predictor import NetworkPredictor
from viral.models.networks import network
from viral.models.numpy_network import GROUP, NumpyNetwork

FIXED = dict(zip([stream.name for stream in STREAMS], [0.0, 1.0, 2.0, 0.0], strict=True))
FIELDS = ("probability", "score", "low", "high", "contributions", "rates")


def both(
    architecture: str, gates: dict[str, float] | None, *, bins: int = 0, members: int = 1
) -> tuple[NumpyNetwork, NetworkPredictor]:
    """One network with random weights and statistics, in numpy and in torch."""
    torch.manual_seed(0)
    config = FusionConfig(STREAMS, architecture, gates=gates, bins=bins, members=members)
    model = network(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(0, 0.3)
    names = [(stream.name, stream.dim) for stream in STREAMS]
    # Of the first value, the middle bins are empty, as for one that repeats.
    edges = {
        name: [[-2.0, *np.linspace(0, index % 2, max(0, bins - 1)), 3.0] for index in range(dim)] for name, dim in names
    }
    means, scales = ({name: [value] * dim for name, dim in names} for value in (0.5, 2.0))
    set_statistics(model, means, scales, edges)
    tensors = {name: tensor.numpy() for name, tensor in model.state_dict().items()}
    return NumpyNetwork(config, tensors, 10.0, 2.0), NetworkPredictor(model.eval(), 10.0, 2.0)


def posts(count: int) -> Batch:
    """Posts with every subset of the streams in turn; one value is far outside the training posts'."""
    rng, present = np.random.default_rng(1), np.resize(SUBSETS.numpy(), (count, len(STREAMS)))
    vectors = {s.name: rng.normal(0.5, 2, (count, s.dim)).astype(np.float32) for s in STREAMS}
    vectors["caption"][3] = 1e6
    return Batch(vectors, present)


@pytest.mark.parametrize(("architecture", "gates"), [("gated", None), ("weighted", None), ("gated", FIXED)])
def test_it_gives_what_torch_gives(architecture: str, gates: dict[str, float] | None) -> None:
    compared(*both(architecture, gates))
    compared(*both(architecture, gates, bins=8, members=4))


def compared(fast: NumpyNetwork, slow: NetworkPredictor) -> None:
    """Compare both on the same posts."""
    batch = posts(64)
    left, right = fast(batch), slow(batch)
    for name in FIELDS:  # up to the rounding of float32, where scores lie between -6 and 16
        np.testing.assert_allclose(getattr(left, name), getattr(right, name), rtol=1e-5, atol=1e-5, err_msg=name)


def test_a_post_has_the_same_bits_in_every_batch() -> None:
    fast, batch = both("gated", None, bins=8, members=4)[0], posts(8 * GROUP)
    whole = fast(batch)
    for start, length in itertools.product(range(0, 8 * GROUP, 3), (GROUP, 3 * GROUP)):
        rows = np.arange(start, start + length) % len(batch.present)
        part = fast(batch.take(rows))
        assert all(np.array_equal(getattr(part, name), getattr(whole, name)[rows]) for name in FIELDS)


def test_it_loads_and_scores_without_torch(tmp_path: Path) -> None:
    torch.manual_seed(0)
    (tmp_path / "weights").write_bytes(save(network(FusionConfig(STREAMS)).state_dict()))
    streams: list[dict[str, Any]] = [vars(stream) for stream in STREAMS]
    card = {"kind": "network", "config": {"streams": streams}, "target": {"mean": 0.0, "scale": 1.0}}
    script = f"""
import sys
import numpy as np
from pathlib import Path
from viral.datasets.streams import Batch, from_dict
from viral.models.predictor import load
from viral.registry.registry import ModelVersion
card = {card!r}
predict = load(ModelVersion("m", 1, card, Path({str(tmp_path / "weights")!r}).read_bytes()), numpy=True)
streams = from_dict(card["config"]["streams"])
batch = Batch({{s.name: np.zeros((8, s.dim), np.float32) for s in streams}}, np.ones((8, len(streams)), bool))
assert len(predict(batch).score) == 8
assert "torch" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", script], check=True)
