from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torchvision.models.resnet import Bottleneck, ResNet
from torchvision.models.video.resnet import BasicBlock, Conv2Plus1D, R2Plus1dStem, VideoResNet

from viral.extractors.folded_network import FoldedNetwork

TOLERANCE = {torch.float32: 1e-4, torch.bfloat16: 0.03}  # of the largest value, as between machines and precisions


class Sums(nn.Module):
    """Additions, a result that two layers use, channel counts that fit no tile."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm = nn.Conv2d(3, 5, 3, padding=1, bias=False), nn.BatchNorm2d(5)
        self.second, self.third = nn.Conv2d(5, 7, 3, stride=2), nn.Conv2d(7, 5, 1)
        self.shortcut, self.relu = nn.Conv2d(5, 5, 3, stride=2), nn.ReLU(inplace=True)

    def forward(self, images: Tensor) -> Tensor:
        images = self.norm(self.first(images))
        outputs = self.third(self.relu(self.second(images)))
        outputs = outputs + self.shortcut(images)
        return (self.relu(outputs) + outputs).mean((2, 3))


def cases() -> dict[str, tuple[nn.Module, Tensor]]:
    """Small networks of the kinds that are folded, with channels-last inputs."""
    clips, images = torch.randn(2, 8, 32, 32, 3), torch.randn(2, 64, 64, 3)
    return {
        "clips": (VideoResNet(BasicBlock, [Conv2Plus1D] * 4, [1, 1, 1, 1], R2Plus1dStem), clips.movedim(-1, 1)),
        "images": (ResNet(Bottleneck, [1, 1, 1, 1]), images.movedim(-1, 1)),
        "sums": (Sums(), images.movedim(-1, 1)),
    }


@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
@pytest.mark.parametrize("name", ["clips", "images", "sums"])
def test_same_features_up_to_rounding(name: str, dtype: torch.dtype) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network, pixels = cases()[name]
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d | nn.BatchNorm3d):
                for tensor in (module.weight, module.bias, module.running_mean, module.running_var):
                    assert tensor is not None
                    nn.init.uniform_(tensor, 0.5, 1.5)
    network.eval().requires_grad_(False)
    with torch.inference_mode():
        expected, result = network(pixels), FoldedNetwork(network, dtype)(pixels)
        assert result.dtype == dtype
        assert (result.float() - expected).abs().max() < TOLERANCE[dtype] * expected.abs().max()
        assert torch.equal(network(pixels), expected)  # the network is as it was


def test_nothing_is_left_of_batch_norms_and_three_dimensions() -> None:
    network, _ = cases()["clips"]
    folded = FoldedNetwork(network.eval(), torch.float32)
    assert not [m for m in folded.modules() if isinstance(m, nn.BatchNorm3d | nn.Conv3d)]
