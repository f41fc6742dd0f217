"""Video transformers trained on clips: tiny ones, through the path of the published ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import VideoMAEConfig, VideoMAEForVideoClassification, VivitConfig, VivitForVideoClassification

from viral.datasets.streams import Stream
from viral.extractors.clip_network import as_clip_network, clip_network
from viral.models.fusion_config import RATES, FusionConfig
from viral.models.linear import LinearNetwork
from viral.models.video import ClipTensors, VideoNetwork
from viral.models.video_config import VideoConfig
from viral.models.video_training import VideoLearner
from viral.weights.resolve import resolve_local

SMALL: dict[str, Any] = {
    "hidden_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 48,
}
FRAMES = {"vivit": 32, "videomae": 16}


def folder(name: str, path: Path) -> Path:
    torch.manual_seed(3)
    if name == "vivit":
        VivitForVideoClassification(VivitConfig(**SMALL, tubelet_size=[8, 56, 56])).save_pretrained(path)
    else:
        config = VideoMAEConfig(**SMALL, tubelet_size=4, patch_size=56)
        VideoMAEForVideoClassification(config).save_pretrained(path)
    return path


@pytest.mark.parametrize("name", ["vivit", "videomae"])
def test_what_is_trained_is_saved_and_read_again(name: str, tmp_path: Path) -> None:
    settings = {"clips": 1, "width": 32}
    extractor = clip_network(name, {"weights": str(folder(name, tmp_path / name)), **settings})
    spec = as_clip_network(extractor)
    heads = LinearNetwork(FusionConfig((Stream(name, "video", extractor.dim),), architecture="linear", dropout=0.0))
    torch.manual_seed(0)
    model = VideoNetwork(spec, spec.load_network(resolve_local), heads)
    bright = torch.tensor([1, 0])
    noise = np.random.default_rng(0).integers(0, 60, (2, FRAMES[name], 224, 224, 3), np.uint8)
    pixels = torch.from_numpy(noise) + (bright * 120).to(torch.uint8).view(-1, 1, 1, 1, 1)
    targets = {"is_viral": bright.float(), "target": bright * 2.0 - 1, **dict.fromkeys(RATES, bright * torch.nan)}
    config = VideoConfig(frozen_epochs=0, epochs=1, dropout=0.0, learning_rate=1e-2, backbone_rate=0.1)
    learner = VideoLearner(model, config, steps=4)
    before = learner.validate([ClipTensors(pixels, [1, 1], targets)])[0]
    learner.train(([ClipTensors(pixels, [1, 1], targets)] for _ in range(4)), epoch=0)
    assert learner.validate([ClipTensors(pixels, [1, 1], targets)])[0] < before
    file = tmp_path / "backbone.safetensors"
    file.write_bytes(spec.serialize(model.backbone.state_dict(), resolve_local))
    again = as_clip_network(clip_network(name, {"weights": str(file), **settings}))
    network = again.load_network(resolve_local).eval()
    with torch.inference_mode():
        assert torch.equal(again.features(network, pixels), spec.features(model.backbone.eval(), pixels))
