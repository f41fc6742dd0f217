"""Predictor of a saved network."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from viral.datasets.streams import Batch
from viral.models.fusion import NetworkOutput
from viral.models.networks import network
from viral.models.predictions import PredictionBatch
from viral.models.start import config_of, scaling_of
from viral.registry.registry import ModelVersion


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
            output: NetworkOutput = self.network(vectors, torch.from_numpy(batch.present))
        return PredictionBatch.from_quantiles(
            torch.sigmoid(output.logit.double()).numpy(),
            output.quantiles.double().numpy() * self.scale + self.mean,
            contributions=output.contributions.double().numpy(),
            rates=output.rates.double().numpy(),
        )


def load(model: ModelVersion) -> NetworkPredictor:
    """Build the network described in the model's card and load its weights."""
    from safetensors.torch import load as load_tensors

    scaling = scaling_of(model)
    module = network(config_of(model))
    module.load_state_dict(load_tensors(model.weights))
    return NetworkPredictor(module.eval(), scaling.mean, scaling.scale)
