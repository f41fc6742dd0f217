"""Video features: VideoMAE over clips."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from viral.extractors.video_transformer import VideoTransformerSpec

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, kw_only=True)
class VideoMAE(VideoTransformerSpec):
    """VideoMAE. A clip is every 4th of 64 frames at 30 fps, 2.1 s.

    `weights` has no default: the published ones, including `kinetics400`, are CC BY-NC 4.0 (no commercial use).
    Source: Tong et al. 2022, arXiv 2203.12602. Sampling and scaling as in its fine-tuning on Kinetics-400: 16 frames,
    4 apart, centre crop 224, ImageNet mean and standard deviation. A token is the mean of its patches, normalised as in
    the classifier if the model was fine-tuned.
    """

    name: ClassVar[str] = "videomae"
    revision: ClassVar[str] = "1"
    pretrained: ClassVar[dict[str, str]] = {"kinetics400": "videomae-kinetics400"}
    mean: ClassVar[tuple[float, float, float]] = (0.485, 0.456, 0.406)
    std: ClassVar[tuple[float, float, float]] = (0.229, 0.224, 0.225)
    frames: ClassVar[int] = 16
    step: ClassVar[float] = 4 / 30
    short_side: ClassVar[int] = 224
    has_class_token: ClassVar[bool] = False

    def model(self, config: Any) -> torch.nn.Module:
        """Create a `VideoMAEModel`."""
        from transformers import VideoMAEModel

        model: torch.nn.Module = VideoMAEModel(config)  # type: ignore[no-untyped-call]  # transformers does not annotate it
        return model

    def norm(self, config: Any) -> torch.nn.Module:
        """Create the final norm of a fine-tuned model, else the identity, as other models end with their own norm."""
        import torch

        return torch.nn.LayerNorm(config.hidden_size) if config.use_mean_pooling else torch.nn.Identity()
