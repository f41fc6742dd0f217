from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from viral.extractors.extractor import PostInput
from viral.extractors.shots import SHOT_COLUMNS, Shots, shot_vector
from viral.extractors.transnet import FindCuts, cut_finder, moving_part
from viral.media.decode import decode
from viral.media.limits import MediaLimits
from viral.media.media import Facts, FrameBatch, Media
from viral.media.plan import SamplingPlan
from viral.weights.resolve import resolve_local

SHOTS = Shots()
RATE = 30.0


@pytest.fixture(scope="module")
def find() -> FindCuts:
    return cut_finder("cpu", "float32")


def scenes(*lengths: int, height: int = 54) -> FrameBatch:
    """A video with a cut after so many frames each: smooth colours that pan from left to right, others in each shot."""
    random, frames = np.random.default_rng(1), []
    for length in lengths:
        coarse = random.uniform(0, 255, (6, 24, 3))
        scene = np.stack([_smooth(coarse[..., channel], height) for channel in range(3)], -1)
        frames += [np.roll(scene, shift, 1)[:, :96] for shift in range(length)]
    return FrameBatch(np.stack(frames).astype(np.uint8), np.arange(len(frames)) / RATE)


def _smooth(coarse: npt.NDArray[np.float64], height: int) -> npt.NDArray[np.float64]:
    across = np.stack([np.interp(np.linspace(0, 23, 192), np.arange(24), row) for row in coarse])
    return np.stack([np.interp(np.linspace(0, 5, height), np.arange(6), column) for column in across.T], 1)


def columns(cuts: list[float], seconds: float) -> dict[str, float]:
    return dict(zip(SHOT_COLUMNS, shot_vector(np.array(cuts), seconds).tolist(), strict=True))


def test_cuts_are_found_at_their_times(find: FindCuts) -> None:
    batch = scenes(40, 35, 25)
    assert find(batch) == pytest.approx([40 / RATE, 75 / RATE], abs=1.5 / RATE)


def test_bars_make_no_difference(find: FindCuts) -> None:
    picture = scenes(40, 35, 25, height=14)
    barred = np.zeros((100, 54, 96, 3), np.uint8)
    barred[:, 22:36] = picture.data
    barred[:, 10:14, 20:70] = 255  # a title above
    assert moving_part(barred) == (slice(22, 36), slice(0, 96))
    assert find(FrameBatch(barred, picture.pts_seconds)) == pytest.approx([40 / RATE, 75 / RATE], abs=1.5 / RATE)


def test_a_picture_that_is_shown_twice_is_looked_at_once(find: FindCuts) -> None:
    batch = scenes(15, 20)
    times = np.repeat(batch.pts_seconds, 2)
    assert np.array_equal(find(FrameBatch(np.repeat(batch.data, 2, 0), times)), find(batch))


def test_what_stays_still_is_taken_whole() -> None:
    still = np.full((5, 54, 96, 3), 77, np.uint8)
    assert moving_part(still) == (slice(0, 54), slice(0, 96))
    still[2:, 50:53, :30] = 200  # a bar that tells how far the video is
    assert moving_part(still)[0] == slice(0, 54)


def test_the_columns_of_known_cuts() -> None:
    result = columns([1.0, 1.5, 6.0], 10.0)
    lengths = np.array([1.0, 0.5, 4.5, 4.0])
    assert result["cuts_per_second"] == pytest.approx(0.3)
    assert result["log_shots"] == pytest.approx(np.log(5))
    assert result["log_seconds_mean"] == pytest.approx(np.log(3.5))
    assert result["log_seconds_median"] == pytest.approx(np.log(3.5))
    assert result["log_seconds_min"] == pytest.approx(np.log(1.5))
    assert result["log_seconds_max"] == pytest.approx(np.log(5.5))
    assert result["variation"] == pytest.approx(lengths.std() / 2.5)
    assert result["short_share"] == 0.25
    assert result["log_first_cut"] == pytest.approx(np.log(2))
    assert result["opening_cuts"] == 2


def test_the_columns_of_a_single_shot() -> None:
    result = columns([], 8.0)
    assert {name for name, value in result.items() if value == 0} == {
        "cuts_per_second",
        "variation",
        "short_share",
        "opening_cuts",
    }
    assert result["log_first_cut"] == result["log_seconds_min"] == result["log_seconds_max"] == pytest.approx(np.log(9))


def test_a_real_video_and_no_video(shared_data: Path) -> None:
    spec = Shots(every=1 / 15)
    encode = spec.load("cpu", resolve_local)
    assert encode(PostInput(None)) is None
    assert encode(PostInput(Media(Facts()))) is None
    path = shared_data / "tiktok_videos" / "videos" / "7305464751671315755.mp4"
    media = decode(str(path), SamplingPlan.from_requests(spec.needs), MediaLimits())
    vector = encode(PostInput(media))
    assert vector is not None
    assert vector.dtype == np.float32
    # Seen by eye: cuts at 1.7 and 4.4 s, in a band between black bars.
    assert vector == pytest.approx(shot_vector(np.array([1.67, 4.43]), 7.53), abs=0.02)
