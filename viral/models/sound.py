"""The sound model: four convolution blocks over a log-mel spectrogram."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from viral.datasets.streams import Stream
from viral.errors import ConfigError
from viral.models.fusion import BOUND, NetworkOutput, Standardised, decode_heads
from viral.models.fusion_config import OUTPUTS, FusionConfig

_BLOCKS = 4
_MIN_SIZE = 2**_BLOCKS  # steps or bands: each block halves both axes


class Spectrogram(Standardised):
    """Vectors of (steps x bands) as pictures, standardised per band over all steps.

    A mean and deviation per value would memorise how loud each moment of the training sounds was, from few sounds
    where few are that long.
    """

    def __init__(self, dim: int, steps: int) -> None:
        super().__init__(dim)
        self.steps = steps

    def forward(self, vectors: Tensor) -> Tensor:
        """(N, dim) to (N, 1, bands, steps)."""
        means, scales = (values.view(self.steps, -1) for values in (self.mean, self.scale))
        mean = means.mean(dim=0)
        scale = (scales.square() + (means - mean).square()).mean(dim=0).sqrt()  # variance within and between steps
        grid = vectors.view(len(vectors), self.steps, -1)
        return ((grid - mean) / scale).clamp(-BOUND, BOUND).transpose(1, 2).unsqueeze(1)


class SoundNetwork(nn.Module):
    """Scores posts by their sound alone.

    Four blocks of convolution, ReLU and batch norm, each halving both axes, initialised as in He et al. 2015, then the
    mean over time. The band axis stays to the end: averaging over it would lose the pitch.

    In evaluation the batch norm uses its running statistics, so that no post depends on its batch. In training each
    worker normalises its own batch, and the running statistics of the first worker are saved: torch's synchronised
    batch norm exists on GPUs only, and each sound gives hundreds of values per channel.
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
        """Predict, as `Fusion.forward`; the contribution of the sound is 1 where it is present."""
        [(name, projection)] = self.projections.items()
        features = self.blocks(projection(vectors[name])).mean(dim=3).flatten(1)
        return decode_heads(self.head(self.dropout(features)), present.float())


def _block(channels: int, out: int, size: int) -> nn.Sequential:
    convolution = nn.Conv2d(channels, out, size, stride=2, padding=size // 2)
    nn.init.kaiming_normal_(convolution.weight, nonlinearity="relu")
    assert convolution.bias is not None
    nn.init.zeros_(convolution.bias)
    return nn.Sequential(convolution, nn.ReLU(), nn.BatchNorm2d(out))


def _only_stream(config: FusionConfig) -> Stream:
    fitting = [stream for stream in config.streams if min(stream.tokens, stream.dim // stream.tokens) >= _MIN_SIZE]
    if len(fitting) != 1 or len(config.streams) != 1:
        names = ", ".join(stream.name for stream in config.streams)
        raise ConfigError(f"the sound model looks at one spectrogram alone (logmel), not at {names}")
    return fitting[0]
