"""Video features: ViViT-B/16x2 over clips."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from viral.extractors.video_transformer import VideoTransformerSpec

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, kw_only=True)
class ViViT(VideoTransformerSpec):
    """ViViT with joint space-time attention. A clip has 32 frames: every 2nd of 64 at 25 fps, which are 2.6 s.

    A single token is the class token; several tokens omit it. Source: Arnab et al. 2021, arXiv 2103.15691; its
    Kinetics-400 weights (MIT). Sampling and scaling as in scenic's `vivit_base_k400.py`: short side 256,
    centre crop 224, pixels from -1 to 1 (`VivitImageProcessor` would by default scale them once more).
    """

    weights: str = "kinetics400"

    name: ClassVar[str] = "vivit"
    revision: ClassVar[str] = "1"
    pretrained: ClassVar[dict[str, str]] = {"kinetics400": "vivit-kinetics400"}
    mean: ClassVar[tuple[float, float, float]] = (0.5, 0.5, 0.5)
    std: ClassVar[tuple[float, float, float]] = (0.5, 0.5, 0.5)
    frames: ClassVar[int] = 32
    step: ClassVar[float] = 2 / 25
    short_side: ClassVar[int] = 256
    has_class_token: ClassVar[bool] = True

    def model(self, config: Any) -> torch.nn.Module:
        """Create a `VivitModel`."""
        from transformers import VivitModel

        return VivitModel(config, add_pooling_layer=False)
