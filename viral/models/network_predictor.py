"""Loading and prediction of networks."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from viral.datasets.streams import Batch
from viral.models.fusion import NetworkOutput
from viral.models.networks import network
from viral.models.predictions import PredictionBatch
from viral.models.start import saved_config, saved_scaling
from viral.registry.registry import ModelVersion


@dataclass(frozen=True)
class NetworkPredictor:
    """A trained network, with the label's mean and standard deviation in the training split."""

    network: nn.Module
    mean: float
    scale: float

    def __call__(self, batch: Batch) -> PredictionBatch:
        """Predict."""
        with torch.inference_mode():
            vectors = {name: torch.from_numpy(array) for name, array in batch.vectors.items()}
            output: NetworkOutput = self.network(vectors, torch.from_numpy(batch.present))
        return PredictionBatch.from_quantiles(
            # In double precision: in float32, all large logits would become 1.
            torch.sigmoid(output.logit.double()).numpy(),
            output.quantiles.double().numpy() * self.scale + self.mean,
            contributions=output.contributions.double().numpy(),
            rates=output.rates.double().numpy(),
        )


def load(model: ModelVersion) -> NetworkPredictor:
    """Build the network described in the model's card and load its weights."""
    from safetensors.torch import load as load_tensors

    scaling = saved_scaling(model)
    module = network(saved_config(model))
    module.load_state_dict(load_tensors(model.weights))
    return NetworkPredictor(module.eval(), scaling.mean, scaling.scale)
