from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from viral.extractors.craft import CRAFT_COLUMNS, Craft, colourfulness
from viral.extractors.extractor import PostInput
from viral.media.decode import decode
from viral.media.limits import MediaLimits
from viral.media.media import Facts, FrameBatch, Media, PacketTrack, Track
from viral.media.plan import SamplingPlan
from viral.media.requests import Packets, Request
from viral.weights.resolve import resolve_local

CRAFT = Craft()


def still(colour: tuple[int, int, int], *, frames: int = 24) -> Media:
    """A video of one colour, 4 s long, with two key frames."""
    picture = np.broadcast_to(np.array(colour, np.uint8), (frames, 199, 112, 3))
    tracks: dict[Request, Track] = {
        CRAFT.opening_frames: FrameBatch(picture, np.arange(frames) * 0.125),
        CRAFT.video_frames: FrameBatch(picture[:2], np.array([0.0, 2.0])[: min(2, frames)]),
        Packets(): PacketTrack(np.arange(120) / 30, np.where(np.arange(120) % 60, 50, 9000), np.arange(120) % 60 == 0),
    }
    return Media(Facts(width=576, height=1024, seen_seconds=4.0), tracks)


def columns(media: Media, craft: Craft = CRAFT) -> dict[str, float]:
    vector = craft.load("cpu", resolve_local)(PostInput(media))
    assert vector is not None
    assert vector.shape == (Craft.dim,)
    assert vector.dtype == np.float32
    assert np.isfinite(vector).all()
    return dict(zip(CRAFT_COLUMNS, vector.tolist(), strict=True))


def test_absent_without_pictures() -> None:
    encode = CRAFT.load("cpu", resolve_local)
    assert encode(PostInput(None)) is None
    assert encode(PostInput(Media(Facts()))) is None


def test_a_still_grey_picture() -> None:
    result = columns(still((128, 128, 128)))
    assert result["brightness_mean"] == result["opening_brightness_mean"] == pytest.approx(128 / 255, abs=1e-5)
    for column in ("cuts_per_second", "motion", "opening_motion_max", "opening_brightness_difference"):
        assert result[column] == 0
    for column in ("contrast_mean", "colourfulness_mean", "saturation_mean"):
        assert result[column] == pytest.approx(0, abs=1e-5)
    assert result["opening_first_cut"] == 3
    assert result["log_shot_seconds"] == pytest.approx(np.log(5))
    assert result["log_bits_per_pixel"] == pytest.approx(np.log10(8 * 50 / (576 * 1024)))


def test_red_is_saturated_and_colourful() -> None:
    result = columns(still((255, 0, 0)))
    assert result["saturation_mean"] == pytest.approx(1)
    assert result["colourfulness_mean"] == pytest.approx(0.3 * np.hypot(1, 0.5), abs=1e-5)


def test_colourfulness_follows_the_paper() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (500, 3)).astype(np.float64)
    red_green = pixels[:, 0] - pixels[:, 1]
    yellow_blue = 0.5 * (pixels[:, 0] + pixels[:, 1]) - pixels[:, 2]
    sigma = np.sqrt(red_green.var() + yellow_blue.var())
    mu = np.sqrt(red_green.mean() ** 2 + yellow_blue.mean() ** 2)
    ours = colourfulness((pixels / 255).astype(np.float32))
    assert 255 * ours == pytest.approx(sigma + 0.3 * mu, rel=1e-4)


def test_one_frame_and_no_packets_are_enough() -> None:
    media = still((10, 20, 30), frames=1)
    tracks = {request: track for request, track in media.tracks.items() if not isinstance(request, Packets)}
    result = columns(Media(Facts(), tracks))
    assert result["log_bits_per_pixel"] == -4
    assert result["bits_variation"] == 0


def test_real_videos_within_bounds(samples: list[PostInput]) -> None:
    for sample in samples:
        assert sample.media is not None
        result = columns(sample.media)
        assert 0 < result["brightness_mean"] < 1
        assert 0 <= result["cuts_per_second"] < 3
        assert 0 < result["opening_motion"] <= result["opening_motion_max"] < 1
        assert -3.5 < result["log_bits_per_pixel"] < 1


def test_dense_asks_for_the_whole_and_agrees_on_light_and_colour(videos: list[Path], samples: list[PostInput]) -> None:
    dense = Craft(dense=True)
    assert dense.needs != CRAFT.needs
    media = decode(str(videos[0]), SamplingPlan.from_requests(dense.needs), MediaLimits())
    assert samples[0].media is not None
    cheap, full = columns(samples[0].media), columns(media, dense)
    assert cheap["brightness_mean"] == pytest.approx(full["brightness_mean"], abs=0.1)
    assert cheap["opening_colourfulness_mean"] == pytest.approx(full["opening_colourfulness_mean"], abs=0.02)
