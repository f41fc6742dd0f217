"""Loading and prediction of networks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from viral.datasets.streams import Batch
from viral.models.fusion_config import GATED
from viral.models.networks import network
from viral.models.numpy_network import NumpyNetwork
from viral.models.predictions import PredictionBatch
from viral.models.predictor import BLOCK, Predictor
from viral.models.start import saved_config, saved_scaling
from viral.registry.registry import ModelVersion

if TYPE_CHECKING:
    from torch import nn

    from viral.models.fusion import NetworkOutput


@dataclass(frozen=True)
class NetworkPredictor:
    """A trained network in torch, with the label's mean and standard deviation in the training split."""

    network: nn.Module
    mean: float
    scale: float
    row_multiple = BLOCK

    def __call__(self, batch: Batch) -> PredictionBatch:
        """Predict."""
        import torch

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


def load(model: ModelVersion, *, numpy: bool = False) -> Predictor:
    """Build the network described in the model's card with its weights; with `numpy`, gated ones need no torch."""
    config, scaling = saved_config(model), saved_scaling(model)
    if numpy and config.architecture in GATED:
        from safetensors.numpy import load as load_arrays

        return NumpyNetwork(config, load_arrays(model.weights), scaling.mean, scaling.scale)
    from safetensors.torch import load as load_tensors

    module = network(config)
    module.load_state_dict(load_tensors(model.weights))
    return NetworkPredictor(module.eval(), scaling.mean, scaling.scale)
