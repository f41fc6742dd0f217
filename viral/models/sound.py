"""The sound model: four blocks of convolution over a log-mel spectrogram."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from viral.datasets.streams import Stream
from viral.errors import ConfigError
from viral.models.fusion import Prediction, Standardised, predict
from viral.models.fusion_config import OUTPUTS, FusionConfig

_SMALLEST = 16  # steps or bands that four halvings leave something of


class Spectrogram(Standardised):
    """Vectors of (steps x bands) as pictures, standardised band by band.

    One mean and deviation a value would hold how loud each moment of the training sounds was, and little of it where
    few are that long; a band's are those of all its moments together.
    """

    def __init__(self, dim: int, steps: int) -> None:
        super().__init__(dim)
        self.steps = steps

    def forward(self, vectors: Tensor) -> Tensor:
        """(N, dim) to (N, 1, bands, steps)."""
        means, scales = (each.view(self.steps, -1) for each in (self.mean, self.scale))
        mean = means.mean(dim=0)
        scale = (scales.square() + (means - mean).square()).mean(dim=0).sqrt()  # within the moments, and between them
        grid = vectors.view(len(vectors), self.steps, -1)
        return ((grid - mean) / scale).clamp(-8, 8).transpose(1, 2).unsqueeze(1)


class Sound(nn.Module):
    """Scores posts by their sound alone.

    Four blocks of convolution, ReLU and batch norm, each halving both axes, with the weights of He et al. 2015; then
    the mean over time. The axis of the bands is kept to the end: the mean over it too would forget the pitch.

    In evaluation the batch norm goes by what it has seen in training, so that no post depends on its neighbours. In
    training each worker norms by its own batch, and the first worker's running figures are the model's: torch's batch
    norm over all workers exists on GPUs alone, and a channel's figures come from hundreds of values of each sound.
    """

    def __init__(self, config: FusionConfig) -> None:
        super().__init__()
        stream = _only_stream(config)
        bands = stream.dim // stream.tokens
        self.config = config
        self.projections = nn.ModuleDict({stream.name: Spectrogram(stream.dim, stream.tokens)})
        channels = [max(1, config.width // 4) * 2**place for place in range(4)]  # 8, 16, 32, 64 by default
        self.blocks = nn.Sequential(
            _block(1, channels[0], 5), *(_block(before, 2 * before, 3) for before in channels[:-1])
        )
        self.dropout = nn.Dropout(config.dropout)
        self.head = nn.Linear(channels[-1] * -(-bands // 16), OUTPUTS)

    def forward(self, vectors: Mapping[str, Tensor], present: Tensor) -> Prediction:
        """Predict, as `Fusion.forward` does; the sound's share is 1 where there is one."""
        [(name, projection)] = self.projections.items()
        heard = self.blocks(projection(vectors[name])).mean(dim=3).flatten(1)
        return predict(self.head(self.dropout(heard)), present.float())


def _block(channels: int, out: int, size: int) -> nn.Sequential:
    convolution = nn.Conv2d(channels, out, size, stride=2, padding=size // 2)
    nn.init.kaiming_normal_(convolution.weight, nonlinearity="relu")
    assert convolution.bias is not None
    nn.init.zeros_(convolution.bias)
    return nn.Sequential(convolution, nn.ReLU(), nn.BatchNorm2d(out))


def _only_stream(config: FusionConfig) -> Stream:
    fits = [each for each in config.streams if min(each.tokens, each.dim // each.tokens) >= _SMALLEST]
    if len(fits) != 1 or len(config.streams) != 1:
        names = ", ".join(each.name for each in config.streams)
        raise ConfigError(f"the sound model looks at one spectrogram alone (logmel), not at {names}")
    return fits[0]
