from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from viral.extractors.extractor import PostInput
from viral.extractors.faces import FACE_COLUMNS, Faces
from viral.extractors.feature_set import FEATURE_SETS
from viral.extractors.spec import Encode
from viral.media.decode import decode
from viral.media.limits import MediaLimits
from viral.media.media import Facts, FrameBatch, Media
from viral.media.plan import SamplingPlan
from viral.weights.resolve import resolve_local

FACES = Faces()


@pytest.fixture(scope="module")
def encode() -> Encode:
    return FACES.load("cpu", resolve_local)


@pytest.fixture(scope="module")
def videos(shared_data: Path) -> Path:
    return shared_data / "tiktok_videos" / "videos"


def columns(encode: Encode, media: Media) -> dict[str, float]:
    vector = encode(PostInput(media))
    assert vector is not None
    assert vector.shape == (Faces.dim,)
    assert vector.dtype == np.float32
    return dict(zip(FACE_COLUMNS, vector.tolist(), strict=True))


def decoded(path: Path) -> Media:
    return decode(str(path), SamplingPlan.from_requests(FACES.needs), MediaLimits())


def test_in_no_named_feature_set() -> None:
    assert all("faces" not in names for names in FEATURE_SETS.values())


def test_absent_only_without_pictures(encode: Encode) -> None:
    assert encode(PostInput(None)) is None
    assert encode(PostInput(Media(Facts()))) is None
    grey = FrameBatch(np.full((2, 320, 320, 3), 90, np.uint8), np.array([0.0, 1.0]))
    assert not any(columns(encode, Media(Facts(), dict.fromkeys(FACES.needs, grey))).values())


def test_as_many_as_are_seen(encode: Encode, videos: Path, subtests: pytest.Subtests) -> None:
    for name, people in (("7277734487268658462", 3), ("7342316904486276394", 2), ("7269813292082760993", 0)):
        with subtests.test(name):
            check_faces(encode, videos, name, people)


def check_faces(encode: Encode, videos: Path, name: str, people: int) -> None:
    result = columns(encode, decoded(videos / f"{name}.mp4"))
    assert result["log_faces_max"] == result["log_faces_mean"] == pytest.approx(np.log(1 + people))
    assert result["share_of_time"] == result["opening_share"] == float(people > 0)
    assert result["close_up_share"] == 0
    assert (result["area_max"] > 0) == (people > 0)
    assert result["area_max"] < 0.03


def test_a_face_that_fills_the_picture_is_a_close_up(encode: Encode, videos: Path) -> None:
    media = decoded(videos / "7330737451646078254.mp4")
    result = columns(encode, media)
    assert result["close_up_share"] == result["opening_close_up_share"] == 1
    assert 0.1 < result["area_mean"] <= result["area_max"] < 0.3
    # A quarter of the picture around its middle: the same face, four times as large.
    nearer = {request: media.tracks[request] for request in FACES.needs}
    for request, track in nearer.items():
        assert isinstance(track, FrameBatch)
        height, width = track.data.shape[1:3]
        middle = track.data[:, height // 4 : height - height // 4, width // 4 : width - width // 4]
        nearer[request] = FrameBatch(middle, track.pts_seconds)
    assert columns(encode, Media(Facts(), nearer))["area_max"] > 2 * result["area_mean"]


def test_half_of_the_time(encode: Encode, videos: Path) -> None:
    batch = decoded(videos / "7342316904486276394.mp4").frames(FACES.needs[1])
    assert batch is not None
    picture = batch.data[0]
    frames = FrameBatch(np.stack([picture, np.zeros_like(picture)]), np.array([0.0, 4.0]))
    result = columns(encode, Media(Facts(seen_seconds=8.0), dict.fromkeys(FACES.needs, frames)))
    assert result["share_of_time"] == 0.25
    assert result["opening_share"] == 1
    assert result["log_faces_mean"] == pytest.approx(np.log(1 + 2 * 0.25))
