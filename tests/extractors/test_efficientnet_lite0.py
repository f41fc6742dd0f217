"""EfficientNet-Lite0 with its published weights: what it sees, and that it sees the frames of a post one by one."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.datasets import load_sample_image

from viral.extractors.efficientnet_lite0 import EFFICIENTNET_LITE0, EfficientNetLite0
from viral.extractors.extractor import PostInput
from viral.media.media import Facts, FrameBatch, Media
from viral.media.resize import resize
from viral.weights.resolve import read_state_dict, resolve_local

PALACE, DAISY = 698, 985  # classes of ImageNet


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    photos = [load_sample_image(name) for name in ("china.jpg", "flower.jpg")]
    return np.stack([resize(np.ascontiguousarray(photo), (224, 224), "crop") for photo in photos])


def test_it_recognises_a_palace_and_a_daisy(images: np.ndarray) -> None:
    spec, published = EfficientNetLite0(), read_state_dict(EFFICIENTNET_LITE0.find())
    network = spec.load_network(resolve_local).eval()
    with torch.inference_mode():
        features = spec.features(network, torch.from_numpy(images))
        classes = features @ published["_fc.weight"].T + published["_fc.bias"]
    assert classes.argmax(1).tolist() == [PALACE, DAISY]
    assert classes.softmax(1).max(1).values.min() > 0.15


def test_a_post_has_the_mean_of_its_frames(images: np.ndarray) -> None:
    spec = EfficientNetLite0()
    encode = spec.load("cpu", resolve_local)

    def vector(frames: np.ndarray) -> np.ndarray:
        media = Media(Facts(), {spec.needs[0]: FrameBatch(frames, np.arange(float(len(frames))))})
        output = encode(PostInput(media))
        assert isinstance(output, np.ndarray)
        return output

    together = vector(images)
    assert together.shape == (spec.dim,)
    alone = np.mean([vector(images[:1]), vector(images[1:])], axis=0)
    np.testing.assert_allclose(together, alone, rtol=0, atol=1e-4)
    assert encode(PostInput(None)) is None
