"""Tiny models that `save_pretrained` wrote, through the very path of the published ones."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import (
    PreTrainedModel,
    VideoMAEConfig,
    VideoMAEForPreTraining,
    VideoMAEForVideoClassification,
    VideoMAEImageProcessor,
    VivitConfig,
    VivitForVideoClassification,
    VivitModel,
)
from transformers.image_utils import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD

from viral.datasets.streams import Stream, streams_of
from viral.errors import ConfigError, WeightsError
from viral.extractors.encode import encode
from viral.extractors.extractor import PostInput, Vector
from viral.extractors.feature_set import FeatureSet
from viral.extractors.video_transformer import VideoTransformerSpec
from viral.extractors.videomae import VideoMAE
from viral.extractors.vivit import ViViT
from viral.media.decode import decode
from viral.media.limits import MediaLimits
from viral.media.media import ClipBatch, Facts, Media
from viral.media.plan import SamplingPlan
from viral.weights.catalogue import CATALOGUE
from viral.weights.resolve import resolve_local

WIDTH, STEPS, CLIPS = 32, 4, 2
SMALL: dict[str, Any] = {
    "hidden_size": WIDTH,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 48,
    "initializer_range": 0.5,  # so that what a model makes of two inputs differs
    "num_labels": 5,
}


@cache
def classifier(name: str) -> PreTrainedModel:
    torch.manual_seed(3)
    if name == "vivit":
        return VivitForVideoClassification(VivitConfig(**SMALL, tubelet_size=[32 // STEPS, 56, 56])).eval()
    return VideoMAEForVideoClassification(VideoMAEConfig(**SMALL, tubelet_size=16 // STEPS, patch_size=56)).eval()


@pytest.fixture(params=["vivit", "videomae"])
def spec(request: pytest.FixtureRequest, tmp_path: Path) -> VideoTransformerSpec:
    folder = tmp_path / request.param
    classifier(request.param).save_pretrained(folder)
    made = {"vivit": ViViT, "videomae": VideoMAE}[request.param]
    return made(weights=str(folder), clips=CLIPS, width=WIDTH)


def sample(spec: VideoTransformerSpec, clips: int, seed: int = 0) -> PostInput:
    shape = (clips, spec.frames, spec.short_side, spec.short_side, 3)
    pixels = np.random.default_rng(seed).integers(0, 256, shape, np.uint8)
    return PostInput(Media(Facts(), {spec.needs[0]: ClipBatch(pixels, np.zeros(shape[:2]))}))


def vector(spec: VideoTransformerSpec, given: PostInput) -> Vector:
    result = spec.load("cpu", resolve_local)(given)
    assert result is not None
    assert result.shape == (spec.dim,)
    assert result.dtype == np.float32
    return result


def scaled(spec: VideoTransformerSpec, given: PostInput) -> torch.Tensor:
    """The clips as the models take them, (C, T, 3, 224, 224)."""
    pixels = spec.pixels(given)
    assert pixels is not None
    return torch.from_numpy((pixels / 255 - spec.mean) / spec.std).float().movedim(-1, 2)


def near(result: Any, expected: torch.Tensor) -> None:
    wanted = expected.detach().numpy()
    np.testing.assert_allclose(result, wanted, rtol=1e-3, atol=1e-4 * np.abs(wanted).max())


def test_a_clip_is_what_the_classifier_sees(spec: VideoTransformerSpec) -> None:
    model, given = classifier(spec.name), sample(spec, 1)
    result = vector(spec, given)
    near(model.classifier(torch.from_numpy(result)).detach(), model(scaled(spec, given)).logits[0])
    assert spec.tokens == 1


def test_clips_are_averaged(spec: VideoTransformerSpec) -> None:
    given = sample(spec, CLIPS)
    batch = given.media.clips(spec.needs[0]) if given.media else None
    assert batch is not None
    single = [
        PostInput(Media(Facts(), {spec.needs[0]: ClipBatch(batch.data[place : place + 1], batch.pts_seconds[:1])}))
        for place in range(CLIPS)
    ]
    near(vector(spec, given), torch.from_numpy(np.mean([vector(spec, each) for each in single], axis=0)))


def test_tokens_are_the_steps_in_time(spec: VideoTransformerSpec) -> None:
    model, given = classifier(spec.name), sample(spec, CLIPS)
    with torch.inference_mode():
        states = model.base_model(scaled(spec, given)).last_hidden_state[:, int(spec.name == "vivit") :]
        steps = states.reshape(CLIPS, STEPS, -1, WIDTH).mean(2)
        steps = (model.fc_norm(steps) if spec.name == "videomae" else steps).reshape(-1, WIDTH)
    every = replace(spec, tokens=CLIPS * STEPS)
    assert every.dim == CLIPS * STEPS * WIDTH
    near(vector(every, given).reshape(-1, WIDTH), steps)
    near(vector(replace(spec, tokens=CLIPS), given).reshape(-1, WIDTH), steps.reshape(CLIPS, STEPS, WIDTH).mean(1))
    short = vector(every, sample(spec, 1)).reshape(STEPS, CLIPS, WIDTH)
    assert np.array_equal(short[:, 0], short[:, 1])  # one clip alone: its steps are repeated


def test_a_feature_set_knows_the_tokens_without_the_weights(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("VIRAL_WEIGHTS", str(tmp_path))
    given = [{"name": "vivit", "params": {"tokens": 6}}]
    chosen = FeatureSet.from_dict({"name": "tokens", "extractors": given})
    assert streams_of(chosen) == (Stream("vivit", "video", 6 * 768, tokens=6),)
    assert "viral weights fetch vivit-kinetics400" in chosen.unavailable()["vivit"]


def test_known_weights_lie_in_their_folder(
    spec: VideoTransformerSpec, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("VIRAL_WEIGHTS", str(tmp_path / "weights"))
    known = replace(spec, weights="kinetics400")
    with pytest.raises(WeightsError, match=f"viral weights fetch {spec.name}-kinetics400"):
        known.load("cpu", resolve_local)
    folder = tmp_path / "weights" / spec.pretrained["kinetics400"]
    classifier(spec.name).save_pretrained(folder)
    if "pytorch_model.bin" in CATALOGUE[folder.name].files:
        torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
        (folder / "model.safetensors").unlink()
    known.check(resolve_local)
    given = sample(spec, 1)
    assert np.array_equal(vector(known, given), vector(spec, given))


def test_models_without_a_classifier_fit_too(tmp_path: Path) -> None:
    torch.manual_seed(0)
    config = VideoMAEConfig(**SMALL, tubelet_size=4, patch_size=56, use_mean_pooling=False, decoder_num_hidden_layers=1)
    pretrained = VideoMAEForPreTraining(config).eval()
    pretrained.save_pretrained(tmp_path / "pretrained")
    mae = VideoMAE(weights=f"{tmp_path}/pretrained/", width=WIDTH)
    given = sample(mae, 1)
    near(vector(mae, given), pretrained.videomae(scaled(mae, given)).last_hidden_state[0].mean(0))
    bare = VivitModel(classifier("vivit").config)
    bare.load_state_dict(classifier("vivit").vivit.state_dict(), strict=False)
    bare.save_pretrained(tmp_path / "bare")
    classifier("vivit").save_pretrained(tmp_path / "whole")
    one, other = (ViViT(weights=str(tmp_path / name), width=WIDTH) for name in ("bare", "whole"))
    given = sample(one, 1)
    assert np.array_equal(vector(one, given), vector(other, given))


def test_what_was_trained_is_stored_as_one_file(spec: VideoTransformerSpec, tmp_path: Path) -> None:
    network = spec.load_network(resolve_local)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.mul_(1.1)
    path = tmp_path / "backbone.safetensors"
    path.write_bytes(spec.serialize(network.state_dict(), resolve_local))
    given, trained = sample(spec, 1), replace(spec, weights=str(path))
    result, expected = vector(trained, given), spec.encode_batch(network.eval(), "cpu", [given])[0]
    assert expected is not None
    assert np.array_equal(result, expected)
    assert not np.array_equal(result, vector(spec, given))
    assert trained.identity(resolve_local)["weights"].startswith("sha256:")
    save_file(load_file(path), path)  # without the config
    with pytest.raises(WeightsError, match="is not a config of a"):
        trained.load("cpu", resolve_local)


def test_the_fingerprint_is_of_both_files_and_not_of_their_place(spec: VideoTransformerSpec, tmp_path: Path) -> None:
    before = spec.identity(resolve_local)
    moved = Path(shutil.copytree(spec.weights, tmp_path / "moved"))
    assert replace(spec, weights=str(moved)).identity(resolve_local) == before
    for name in ("config.json", "model.safetensors"):
        with (moved / name).open("ab") as file:
            file.write(b" ")
        changed = replace(spec, weights=str(moved)).identity(resolve_local)
        assert changed != before
        before = changed


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model_type": "vit"}, "is not a config of a "),
        ({"hidden_size": 64}, r"its hidden_size is 64, not 32: set \w+.width to it"),
        ({"num_frames": 8}, "its num_frames is 8, not "),
        ({"image_size": 112}, "its image_size is 112, not 224"),
        ({"num_attention_heads": 5}, "the config of .* does not fit a .*: The hidden size"),
        ({"num_hidden_layers": "two"}, "the config of .* does not fit a "),
        ({"intermediate_size": 40}, r"do not fit a \w+: size mismatch for model.encoder.layer.0.intermediate"),
        ({"num_hidden_layers": 3}, r"do not fit a \w+: Missing key"),
    ],
)
def test_other_models_are_refused_in_one_line(spec: VideoTransformerSpec, change: dict[str, Any], message: str) -> None:
    path = Path(spec.weights) / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(WeightsError, match=message) as caught:
        spec.load("cpu", resolve_local)
    assert "\n" not in str(caught.value)


def test_broken_folders_and_too_many_tokens_are_refused(spec: VideoTransformerSpec) -> None:
    with pytest.raises(ConfigError, match=r"tokens is 9, but 2 clips have 8 time steps: set at most 8"):
        replace(spec, tokens=9).load("cpu", resolve_local)
    folder = Path(spec.weights)
    save_file({"a": torch.zeros(2)}, folder / "model.safetensors")
    with pytest.raises(WeightsError, match="do not fit a"):
        spec.load("cpu", resolve_local)
    (folder / "model.safetensors").unlink()
    with pytest.raises(
        WeightsError, match=r"is no folder with the config\.json and model\.safetensors or pytorch_model\.bin"
    ):
        spec.check(resolve_local)
    with pytest.raises(WeightsError, match="copy the file to this machine"):
        replace(spec, weights="s3://bucket/model").check(resolve_local)
    (folder / "pytorch_model.bin").write_bytes(b"nothing")
    (folder / "config.json").write_text("{")
    with pytest.raises(WeightsError, match=r"cannot read .*config\.json"):
        spec.load("cpu", resolve_local)


def test_random_weights_of_any_width() -> None:
    spec = VideoMAE(weights="random", width=64, clips=1, tokens=3)
    assert "random" in spec.version
    given = sample(spec, 1)
    first = vector(spec, given)
    assert np.isfinite(first).all()
    assert np.array_equal(vector(spec, given), first)
    coarse = vector(replace(spec, precision="bfloat16"), given)
    assert 0 < np.abs(coarse - first).max() < 0.05 * np.abs(first).max()


def test_several_posts_at_once_give_what_each_alone_gives(
    spec: VideoTransformerSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a GPU; a pass through the network that ends within a post included."""
    monkeypatch.setattr(type(spec), "batch_size", 2)
    samples = [sample(spec, 1, 1), PostInput(None), sample(spec, 2, 2), sample(spec, 1, 3), PostInput(Media(Facts()))]
    network = replace(spec, tokens=3)._load_for_inference("cpu", resolve_local)
    three = replace(spec, tokens=3)
    together = three.encode_batch(network, "cpu", samples)
    alone = [three.encode_batch(network, "cpu", [each])[0] for each in samples]
    assert together[1] is alone[1] is together[4] is alone[4] is None
    for one, other in zip(together, alone, strict=True):
        assert one is None or (other is not None and np.abs(one - other).max() < 1e-4 * np.abs(other).max())


def test_pixels_are_scaled_as_the_models_were_trained() -> None:
    mae, vivit = VideoMAE(weights="random"), ViViT()
    pixels = mae.pixels(sample(mae, 1))
    assert pixels is not None
    processor = VideoMAEImageProcessor(image_mean=IMAGENET_DEFAULT_MEAN, image_std=IMAGENET_DEFAULT_STD)
    expected = processor(list(pixels[0]), return_tensors="pt").pixel_values[0]
    torch.testing.assert_close(mae._normalised(torch.from_numpy(pixels))[0].movedim(0, 1), expected, atol=1e-5, rtol=0)
    black, white = (torch.full((1, 32, 2, 2, 3), value, dtype=torch.uint8) for value in (0, 255))
    assert vivit._normalised(black).unique().tolist() == [-1]
    assert vivit._normalised(white).unique().tolist() == [1]


def test_on_real_videos(spec: VideoTransformerSpec, videos: list[Path]) -> None:
    chosen = FeatureSet.from_dict(
        {"name": "tokens", "extractors": [{"name": spec.name, "params": spec.params() | {"tokens": 3}}]}
    )
    decoded = [decode(str(path), SamplingPlan.from_requests(chosen.requests), MediaLimits()) for path in videos[:2]]
    encoded = encode(chosen.build(), [PostInput(media) for media in decoded])
    assert encoded.errors == [{}, {}]
    first, second = (vectors[spec.name] for vectors in encoded.vectors)
    assert first is not None
    assert first.shape == (chosen.dims[spec.name],) == (3 * WIDTH,)
    assert not np.array_equal(first, second)
    clips = decoded[0].clips(spec.needs[0])
    assert clips is not None
    assert clips.data.shape[1:] == (spec.frames, spec.short_side, spec.short_side, 3)
    assert np.ptp(clips.pts_seconds[0]) == pytest.approx((spec.frames - 1) * spec.step, abs=0.05)
