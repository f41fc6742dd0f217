"""What happens in the pictures, as a transformer sees it: ViViT-B/16x2 over clips of the whole video."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from viral.extractors.video_transformer import VideoTransformerSpec

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, kw_only=True)
class ViViT(VideoTransformerSpec):
    """ViViT with joint attention over space and time: every second of 64 frames at 25 a second, 2.6 s a clip.

    One token a post is the class token's state; several leave it out. Source: Arnab et al. 2021, arXiv 2103.15691;
    its Kinetics-400 weights (MIT). Sampling and scaling as in scenic's `vivit_base_k400.py`: the short side at 256, the
    centre 224, pixels from -1 to 1 (the defaults of `VivitImageProcessor` scale them once more).
    """

    weights: str = "kinetics400"

    name: ClassVar[str] = "vivit"
    revision: ClassVar[str] = "1"
    known: ClassVar[dict[str, str]] = {"kinetics400": "vivit-kinetics400"}
    mean: ClassVar[tuple[float, float, float]] = (0.5, 0.5, 0.5)
    std: ClassVar[tuple[float, float, float]] = (0.5, 0.5, 0.5)
    frames: ClassVar[int] = 32
    step: ClassVar[float] = 2 / 25
    resized: ClassVar[int] = 256
    summary: ClassVar[bool] = True

    def config(self, given: Mapping[str, Any]) -> Any:
        """A `VivitConfig`."""
        from transformers import VivitConfig

        return VivitConfig.from_dict(dict(given))

    def model(self, config: Any) -> torch.nn.Module:
        """A `VivitModel`."""
        from transformers import VivitModel

        return VivitModel(config, add_pooling_layer=False)

    def norm(self, config: Any) -> torch.nn.Module:
        """The model ends in its own."""
        import torch

        return torch.nn.Identity()
