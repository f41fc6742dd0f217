"""What happens in the pictures, as a masked autoencoder learned to see it: VideoMAE over clips of the whole video."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from viral.extractors.video_transformer import VideoTransformerSpec

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, kw_only=True)
class VideoMAE(VideoTransformerSpec):
    """VideoMAE: every fourth of 64 frames at 30 a second, 2.1 s a clip.

    `weights` has no default: the published ones, `kinetics400` among them, are CC BY-NC 4.0, not for commercial use.
    Source: Tong et al. 2022, arXiv 2203.12602. Sampling and scaling as in its fine-tuning on Kinetics-400: 16 frames,
    4 apart, the centre square at 224, ImageNet's mean and deviation. A token is the mean of its patches, normalised as
    the classifier has it where the model was fine-tuned.
    """

    name: ClassVar[str] = "videomae"
    revision: ClassVar[str] = "1"
    known: ClassVar[dict[str, str]] = {"kinetics400": "videomae-kinetics400"}
    mean: ClassVar[tuple[float, float, float]] = (0.485, 0.456, 0.406)
    std: ClassVar[tuple[float, float, float]] = (0.229, 0.224, 0.225)
    frames: ClassVar[int] = 16
    step: ClassVar[float] = 4 / 30
    resized: ClassVar[int] = 224
    summary: ClassVar[bool] = False

    def config(self, given: Mapping[str, Any]) -> Any:
        """A `VideoMAEConfig`."""
        from transformers import VideoMAEConfig

        return VideoMAEConfig.from_dict(dict(given))

    def model(self, config: Any) -> torch.nn.Module:
        """A `VideoMAEModel`."""
        from transformers import VideoMAEModel

        model: torch.nn.Module = VideoMAEModel(config)  # type: ignore[no-untyped-call]  # transformers leaves it so
        return model

    def norm(self, config: Any) -> torch.nn.Module:
        """A fine-tuned model normalises the mean, another one its states."""
        import torch

        return torch.nn.LayerNorm(config.hidden_size) if config.use_mean_pooling else torch.nn.Identity()
