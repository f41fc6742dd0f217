from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torchvision.models import resnet50, vgg16
from torchvision.models.video import R2Plus1D_18_Weights, r2plus1d_18

from viral.errors import WeightsError
from viral.extractors.extractor import PostInput, Vector
from viral.extractors.network import NetworkSpec
from viral.extractors.r2plus1d import R2Plus1D
from viral.extractors.resnet50 import ResNet50
from viral.extractors.vgg16 import VGG16
from viral.media.media import ClipBatch, Facts, FrameBatch, Media, Track
from viral.weights.resolve import resolve_local

IMAGES, CLIPS = ResNet50(weights="random", frames=2), R2Plus1D(weights="random", clips=1)
RNG = np.random.default_rng(0)
PIXELS: dict[str, Track] = {
    "resnet50": FrameBatch(RNG.integers(0, 256, (2, 224, 224, 3), np.uint8), np.arange(2.0)),
    "r2plus1d": ClipBatch(RNG.integers(0, 256, (1, 16, 128, 171, 3), np.uint8), np.zeros((1, 16))),
}
both = pytest.mark.parametrize("spec", [IMAGES, CLIPS], ids=lambda spec: spec.name)


def sample(spec: NetworkSpec) -> PostInput:
    return PostInput(Media(Facts(), {spec.needs[0]: PIXELS[spec.name]}))


def vector(spec: NetworkSpec) -> Vector:
    result = spec.load("cpu", resolve_local)(sample(spec))
    assert result is not None
    return result


@both
def test_random_weights_are_the_same_each_time_and_named(spec: NetworkSpec) -> None:
    torch.manual_seed(5)
    first = vector(spec)
    torch.manual_seed(6)
    expected = torch.rand(1)
    torch.manual_seed(6)
    assert np.array_equal(vector(spec), first)
    assert torch.equal(torch.rand(1), expected)  # the caller's random numbers are as they were
    assert first.shape == (spec.dim,)
    assert np.isfinite(first).all()
    assert "random" in spec.version
    assert "random" not in replace(spec, weights=next(iter(spec.pretrained))).version


@both
def test_absent_without_pictures(spec: NetworkSpec) -> None:
    encode = spec.load("cpu", resolve_local)
    assert encode(PostInput(None)) is None
    assert encode(PostInput(Media(Facts()))) is None


@pytest.mark.slow
@both
def test_several_posts_at_once_give_what_each_alone_gives(spec: NetworkSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a GPU; a pass through the network that ends within a post included."""
    monkeypatch.setattr(type(spec), "cpu_batch_size", 2)
    chance = np.random.default_rng(1)
    kind, shape = type(PIXELS[spec.name]), PIXELS[spec.name].data.shape[1:]
    tracks = [kind(chance.integers(0, 256, (count, *shape), np.uint8), np.zeros(count)) for count in (1, 2)]
    samples = [PostInput(Media(Facts(), {spec.needs[0]: track})) for track in tracks]
    samples.insert(1, PostInput(None))
    network = spec._load_for_inference("cpu", resolve_local)
    together, alone = (
        spec.encode_batch(network, "cpu", samples),
        [spec.encode_batch(network, "cpu", [each])[0] for each in samples],
    )
    assert together[1] is alone[1] is None
    for one, other in zip(together, alone, strict=True):
        assert one is None or np.abs(one - other).max() < 1e-4 * np.abs(other).max()


@both
def test_bfloat16_is_near_and_not_the_same(spec: NetworkSpec) -> None:
    exact, fast = vector(spec), vector(replace(spec, precision="bfloat16"))
    assert fast.dtype == np.float32
    assert not np.array_equal(exact, fast)
    assert np.abs(exact - fast).max() < 0.03 * np.abs(exact).max()


@pytest.mark.parametrize(("spec", "suffix"), [(IMAGES, "safetensors"), (CLIPS, "pt")])
def test_weights_from_a_file_are_used_whatever_head_they_have(spec: NetworkSpec, suffix: str, tmp_path: Path) -> None:
    network = (resnet50 if spec is IMAGES else r2plus1d_18)(num_classes=7)
    path = tmp_path / f"fine_tuned.{suffix}"
    (save_file if suffix == "safetensors" else torch.save)(network.state_dict(), path)
    result = vector(replace(spec, weights=str(path)))
    network.fc = torch.nn.Identity()
    pixels = spec.pixels(sample(spec))
    assert pixels is not None
    scaled = (torch.from_numpy(pixels) / 255 - torch.tensor(spec.mean)) / torch.tensor(spec.std)
    with torch.inference_mode():
        expected = network.eval()(scaled.movedim(-1, 1)).mean(0).numpy()
    np.testing.assert_allclose(result, expected, rtol=1e-3, atol=1e-4 * np.abs(expected).max())


def test_vgg16_gives_its_last_hidden_layer() -> None:
    spec, pixels = VGG16(weights="random", frames=2), PIXELS["resnet50"].data
    backbone = spec.load_network(resolve_local).eval()
    (result,) = spec.encode_batch(backbone, "cpu", [PostInput(Media(Facts(), {spec.needs[0]: PIXELS["resnet50"]}))])
    with torch.device("meta"):  # its own random weights would take seconds
        network = vgg16(weights=None).eval()
    network.load_state_dict(backbone.state_dict(), assign=True, strict=False)
    scaled = ((torch.from_numpy(pixels) / 255 - torch.tensor(spec.mean)) / torch.tensor(spec.std)).movedim(-1, 1)
    with torch.inference_mode():
        pooled = network.avgpool(network.features(scaled)).flatten(1)
        expected = network.classifier[:6](pooled).mean(0).numpy()
    assert result is not None
    assert result.shape == (spec.dim,)
    np.testing.assert_allclose(result, expected, rtol=1e-3, atol=1e-4 * np.abs(expected).max())


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    save_file(resnet50().state_dict(), tmp_path / "r.safetensors")
    with pytest.raises(WeightsError, match="do not fit a r2plus1d"):
        R2Plus1D(weights=str(tmp_path / "r.safetensors")).load("cpu", resolve_local)
    state = resnet50().state_dict() | {"conv1.weight": torch.zeros(64, 1, 7, 7)}
    save_file(state, tmp_path / "grey.safetensors")
    with pytest.raises(WeightsError, match=r"size mismatch for conv1\.weight"):
        ResNet50(weights=str(tmp_path / "grey.safetensors")).load("cpu", resolve_local)


def test_clips_are_cut_and_scaled_as_torchvision_does() -> None:
    transform = R2Plus1D_18_Weights.KINETICS400_V1.transforms()
    data = PIXELS["r2plus1d"]
    assert isinstance(data, ClipBatch)
    expected = transform(torch.from_numpy(data.data).permute(0, 1, 4, 2, 3))
    pixels = CLIPS.pixels(sample(CLIPS))
    assert pixels is not None
    torch.testing.assert_close(CLIPS._normalised(torch.from_numpy(pixels)), expected, atol=1e-5, rtol=1e-5)


def test_fewer_frames_than_asked_for_are_averaged() -> None:
    track = PIXELS["resnet50"]
    assert isinstance(track, FrameBatch)
    encode, request = IMAGES.load("cpu", resolve_local), IMAGES.needs[0]
    single = [FrameBatch(track.data[place : place + 1], track.pts_seconds[place : place + 1]) for place in range(2)]
    halves = [encode(PostInput(Media(Facts(), {request: batch}))) for batch in single]
    np.testing.assert_allclose(np.mean(halves, axis=0), encode(sample(IMAGES)), rtol=1e-4, atol=1e-4)
