"""On clips whose cuts are known, coded as the platforms code them."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from viral.extractors.cuts import confirm_cuts, differences, packet_cuts, picture_cuts
from viral.media.decode import decode
from viral.media.limits import MediaLimits
from viral.media.media import FrameBatch, Media, PacketTrack
from viral.media.plan import SamplingPlan
from viral.media.requests import Frames, Packets

RATE = 30
DENSE = Frames(every=0.125, size=(112, 112), fit="inside")
CUTS = (2.5, 3.6, 6.2, 7.4, 11.0)


@cache
def scene(seed: int, frames: int) -> np.ndarray:
    """A soft texture with the grain of a camera, drifting to and fro: uint8 (T, 256, 144, 3)."""
    rng = np.random.default_rng(seed)
    texture = rng.uniform(40, 200, 3) + np.zeros((384, 288, 3))
    for block in (4, 12, 48):
        texture += np.kron(rng.normal(0, block / 2, (384 // block, 288 // block, 3)), np.ones((block, block, 1)))
    steps = np.abs((np.arange(frames) + 100) % 200 - 100)
    windows = [texture[step : step + 256, step // 2 : step // 2 + 144] for step in steps]
    return np.stack([(window + rng.normal(0, 2, (256, 144, 1))).clip(0, 255).astype(np.uint8) for window in windows])


def write(path: Path, shots: Sequence[float], **options: str) -> Path:
    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=RATE, options={"crf": "23", "threads": "1", **options})
        stream.width, stream.height, stream.pix_fmt = 144, 256, "yuv420p"
        stream.time_base = Fraction(1, RATE)
        for seed, seconds in enumerate(shots):
            for picture in scene(seed, round(seconds * RATE)):
                container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, "rgb24")))
        container.mux(stream.encode(None))
    return path


def decoded(path: Path) -> Media:
    return decode(str(path), SamplingPlan.from_requests([DENSE, Packets()]), MediaLimits())


@pytest.fixture(scope="module")
def media(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Media]:
    """One clip of 14 s by four encoder settings, and one without cuts."""
    folder = tmp_path_factory.mktemp("clips")
    shots = np.diff([0.0, *CUTS, 14.0]).tolist()
    settings = {
        "default": {},
        "no_scenecut": {"sc_threshold": "0"},
        "short_interval": {"g": "60", "sc_threshold": "0"},
        "no_b_frames": {"bf": "0"},
    }
    clips = {name: decoded(write(folder / f"{name}.mp4", shots, **options)) for name, options in settings.items()}
    return {**clips, "one_shot": decoded(write(folder / "one_shot.mp4", [14.0]))}


def result(media: Media, how: str) -> np.ndarray:
    frames, packets = media.frames(DENSE), media.packets(Packets())
    assert frames is not None
    assert packets is not None
    return picture_cuts(frames) if how == "pictures" else packet_cuts(packets)


@pytest.mark.parametrize("how", ["pictures", "packets"])
@pytest.mark.parametrize("settings", ["default", "no_scenecut", "short_interval", "no_b_frames"])
def test_known_cuts_are_found(media: dict[str, Media], settings: str, how: str) -> None:
    cuts = result(media[settings], how)
    assert len(cuts) == len(CUTS)
    assert np.abs(cuts - CUTS).max() <= 0.126


@pytest.mark.parametrize("how", ["pictures", "packets"])
def test_one_shot_has_none(media: dict[str, Media], how: str) -> None:
    assert len(result(media["one_shot"], how)) == 0


def test_candidates_between_like_pictures_are_dropped(media: dict[str, Media]) -> None:
    frames = media["default"].frames(DENSE)
    assert frames is not None
    confirmed = confirm_cuts(np.array([1.0, CUTS[0], 20.0]), frames)
    assert confirmed.tolist() == [CUTS[0], 20.0]  # without a frame after it, a candidate stays


def test_differences_by_hand() -> None:
    frames = np.zeros((3, 2, 2, 3), np.uint8)
    frames[1] = 10
    assert differences(frames).tolist() == [10, 10]
    assert len(differences(frames[:1])) == 0


@pytest.mark.parametrize("count", [0, 1, 2])
def test_hardly_any_packets_or_frames(count: int) -> None:
    times = np.arange(count) / RATE
    packets = PacketTrack(times, np.full(count, 100), np.arange(count) == 0)
    assert len(packet_cuts(packets)) == 0
    assert len(picture_cuts(FrameBatch(np.zeros((count, 4, 4, 3), np.uint8), times))) == 0


def test_only_key_frames_say_nothing() -> None:
    packets = PacketTrack(np.arange(60) / RATE, np.full(60, 100), np.ones(60, bool))
    assert len(packet_cuts(packets)) == 0
