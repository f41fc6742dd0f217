"""A saved network, ready to predict."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from viral.datasets.streams import Batch
from viral.models.fusion import Prediction
from viral.models.networks import network
from viral.models.predictions import PredictionBatch
from viral.models.start import scaling_of, shape_of
from viral.registry.registry import Saved


@dataclass(frozen=True)
class NetworkPredictor:
    """A network with its weights, and the label's mean and scale in the training split."""

    network: nn.Module
    mean: float
    scale: float

    def __call__(self, batch: Batch) -> PredictionBatch:
        """Predict."""
        with torch.inference_mode():
            vectors = {name: torch.from_numpy(array) for name, array in batch.vectors.items()}
            said: Prediction = self.network(vectors, torch.from_numpy(batch.present))
        return PredictionBatch.from_quantiles(
            torch.sigmoid(said.logit.double()).numpy(),
            said.quantiles.double().numpy() * self.scale + self.mean,
            contributions=said.gates.double().numpy(),
            rates=said.rates.double().numpy(),
        )


def load(saved: Saved) -> NetworkPredictor:
    """Make the network that the card names and fill it."""
    from safetensors.torch import load as tensors

    target = scaling_of(saved)
    made = network(shape_of(saved))
    made.load_state_dict(tensors(saved.weights))
    return NetworkPredictor(made.eval(), target.mean, target.scale)
