"""Network on sound: four convolution blocks over a log-mel spectrogram."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from viral.datasets.streams import Stream
from viral.errors import ConfigError
from viral.models.fusion import NetworkOutput, Standardised, decode_heads
from viral.models.fusion_config import MAX_DEVIATION, OUTPUTS, FusionConfig

_BLOCKS = 4  # convolution blocks; each halves both axes
_MIN_SIZE = 2**_BLOCKS  # of steps and of bands, so that one of each is left


class Spectrogram(Standardised):
    """Reshape vectors (steps x bands) to images, standardised per band over all steps.

    Statistics per value would depend on when the training sounds are loud, and late steps occur in few sounds.
    """

    def __init__(self, dim: int, steps: int) -> None:
        super().__init__(dim)
        self.steps = steps

    def forward(self, vectors: Tensor) -> Tensor:
        """Map (N, dim) to (N, 1, bands, steps)."""
        means, scales = (values.view(self.steps, -1) for values in (self.mean, self.scale))
        mean = means.mean(dim=0)
        scale = (scales.square() + (means - mean).square()).mean(dim=0).sqrt()  # variance within and between steps
        grid = vectors.view(len(vectors), self.steps, -1)
        return ((grid - mean) / scale).clamp(-MAX_DEVIATION, MAX_DEVIATION).transpose(1, 2).unsqueeze(1)


class SoundNetwork(nn.Module):
    """Convolutional network that scores posts by their sound alone.

    Four blocks of convolution, ReLU and batch norm, each halving both axes, initialised as in He et al. 2015, then the
    mean over time. The bands are not averaged: that would lose the pitch.

    In training each worker normalises its own batch, and the running statistics of the first worker are saved: torch's
    synchronised batch norm exists on GPUs only, and each sound gives hundreds of values per channel.
    """

    def __init__(self, config: FusionConfig) -> None:
        super().__init__()
        stream = _only_stream(config)
        bands = stream.dim // stream.tokens
        self.config = config
        self.projections = nn.ModuleDict({stream.name: Spectrogram(stream.dim, stream.tokens)})
        channels = [max(1, config.width // 4) * 2**block for block in range(_BLOCKS)]  # 8, 16, 32, 64 by default
        self.blocks = nn.Sequential(_block(1, channels[0], 5), *(_block(size, 2 * size, 3) for size in channels[:-1]))
        self.dropout = nn.Dropout(config.dropout)
        self.head = nn.Linear(channels[-1] * -(-bands // 2**_BLOCKS), OUTPUTS)

    def forward(self, vectors: Mapping[str, Tensor], present: Tensor) -> NetworkOutput:
        """Predict, as `Fusion.forward`; the contribution of the sound is 1 where present."""
        [(name, projection)] = self.projections.items()
        # The mean over time: a sound means the same wherever in the clip it is heard.
        features = self.blocks(projection(vectors[name])).mean(dim=3).flatten(1)
        return decode_heads(self.head(self.dropout(features)), present.float())


def _block(channels: int, out: int, size: int) -> nn.Sequential:
    convolution = nn.Conv2d(channels, out, size, stride=2, padding=size // 2)
    nn.init.kaiming_normal_(convolution.weight, nonlinearity="relu")
    assert convolution.bias is not None
    nn.init.zeros_(convolution.bias)
    return nn.Sequential(convolution, nn.ReLU(), nn.BatchNorm2d(out))


def _only_stream(config: FusionConfig) -> Stream:
    stream = config.streams[0] if len(config.streams) == 1 else None
    if stream is None or min(stream.tokens, stream.dim // stream.tokens) < _MIN_SIZE:
        names = ", ".join(stream.name for stream in config.streams)
        raise ConfigError(f"the architecture sound takes one spectrogram (logmel), not {names}")
    return stream
