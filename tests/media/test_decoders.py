"""Both decoders against a plain decode of the whole file."""

from __future__ import annotations

from collections.abc import Callable

import av
import numpy as np
import pytest

from tests.media.conftest import Make
from viral.media import probe as probing
from viral.media.container import open_container
from viral.media.decord_frames import DecordRefusedError, decord_frames
from viral.media.limits import MediaLimits
from viral.media.probe import Probe, probe
from viral.media.pyav_frames import pyav_frames
from viral.media.scaler import Scaler

PICKS = ([0], [7, 8, 9, 30], [41], [5, 17, 23, 24, 36])


def plain(path: str, turns: int) -> list[np.ndarray]:
    with av.open(path) as container:
        return [np.rot90(frame.to_ndarray(format="rgb24"), turns) for frame in container.decode(video=0)]


def probed(path: str) -> Probe:
    with open_container(path) as container:
        return probe(container, [], MediaLimits())


def by_pyav(path: str, numbers: list[int]) -> dict[int, np.ndarray]:
    with open_container(path) as container:
        file = probe(container, [], MediaLimits())
        scaler = Scaler(file.geometry, file.colour)
        return {number: scaler.to_rgb(frame) for number, frame in pyav_frames(file.coded, numbers, file.index)}


def check(path: str, *, trusts_decord: bool) -> None:
    file = probed(path)
    frames = plain(path, file.geometry.orientation.rotation // 90)
    assert len(frames) == len(file.index)
    for picks in PICKS:
        numbers = sorted({min(pick, len(frames) - 1) for pick in picks})
        images = by_pyav(path, numbers)
        assert sorted(images) == numbers
        for number, image in images.items():
            np.testing.assert_array_equal(image, frames[number])
        if not trusts_decord:
            with pytest.raises(DecordRefusedError):
                list(decord_frames(path, numbers, file))
            continue
        by_decord = dict(decord_frames(path, numbers, file))
        assert list(by_decord) == numbers
        for number, image in by_decord.items():
            assert np.abs(image.astype(int) - frames[number]).mean() < 0.5


def test_decord_and_pyav_give_the_same_frames_of_real_files(
    find: Callable[[str], str], subtests: pytest.Subtests
) -> None:
    for ending in (
        *("testsrc.mp4", "testsrc-hevc.mp4", "video_180.mov", "unordered.mov", "video_rotation_90.mp4"),
        *("test_yuv422p.mp4", "chaplin.mp4", "demo_skeleton.mp4"),
    ):
        with subtests.test(ending):
            check(find(ending), trusts_decord=True)


def test_what_decord_cannot_read_or_gets_wrong_is_left_to_pyav(
    find: Callable[[str], str], subtests: pytest.Subtests
) -> None:
    for ending in (
        *("h264_10bits.mp4", "tiny_av1.mp4", "h264-mjpeg.mkv", "enstvid.ivf", "test.avi", "no_duration.webm"),
        "colr_nclx_rgb.mp4",
    ):
        with subtests.test(ending):
            check(find(ending), trusts_decord=False)


def test_whole_videos(paths: list[str]) -> None:
    for path in paths[:2]:
        check(path, trusts_decord=True)


X264 = "scenecut=0:keyint=12:min-keyint=12:log-level=none:"


@pytest.mark.parametrize(
    ("name", "codec", "options", "trusts_decord"),
    [
        ("closed.mp4", "libx264", {"x264-params": X264 + "bframes=3"}, True),
        ("pyramid.mp4", "libx264", {"x264-params": X264 + "bframes=5:b-pyramid=normal"}, True),
        ("open.mp4", "libx264", {"x264-params": X264 + "bframes=3:open-gop=1"}, False),
        (
            "closed_hevc.mp4",
            "libx265",
            {"x265-params": "keyint=12:min-keyint=12:bframes=3:log-level=none:open-gop=0"},
            True,
        ),
        (
            "open_hevc.mp4",
            "libx265",
            {"x265-params": "keyint=12:min-keyint=12:bframes=3:log-level=none:open-gop=1"},
            False,
        ),
        ("refresh.mp4", "libx264", {"x264-params": "intra-refresh=1:keyint=24:log-level=none"}, False),
        ("interlaced.mp4", "libx264", {"flags": "+ilme+ildct", "x264-params": X264 + "tff=1"}, False),
        ("stream.ts", "libx264", {"x264-params": X264 + "bframes=2"}, False),
        ("vp9.webm", "libvpx-vp9", {}, False),
        ("mpeg4.avi", "mpeg4", {"bf": "2", "g": "12"}, False),
    ],
)
def test_groups_of_pictures(make: Make, name: str, codec: str, options: dict[str, str], trusts_decord: bool) -> None:
    check(make(name, codec, **options), trusts_decord=trusts_decord)


def test_frames_before_an_edit_list_begins_are_not_shown(make: Make) -> None:
    path = make("cut.mp4", shift=10, **{"x264-params": X264 + "bframes=2"})
    file = probed(path)
    assert len(file.index) == 38
    assert file.index.pts_seconds[0] == 0.0
    corners = {number: image[2:14, 2:14].mean() for number, image in by_pyav(path, [0, 1, 20]).items()}
    assert {number: round(mean / 4) for number, mean in corners.items()} == {0: 10, 1: 11, 20: 30}


def test_packets_that_are_too_many_to_hold_are_read_again(
    find: Callable[[str], str], subtests: pytest.Subtests
) -> None:
    for ending in ("testsrc.mp4", "h264_10bits.mp4", "tiny_av1.mp4", "test.avi"):
        with subtests.test(ending), pytest.MonkeyPatch.context() as patch:
            check_rereading(find(ending), patch)


def check_rereading(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    last = len(probed(path).index) - 1
    picks = [sorted({min(pick, last) for pick in numbers}) for numbers in PICKS]
    cached = [by_pyav(path, numbers) for numbers in picks]
    monkeypatch.setattr(probing, "MAX_CACHED_BYTES", 0)
    assert probed(path).coded.packets is None
    for numbers, expected in zip(picks, cached, strict=True):
        again = by_pyav(path, numbers)
        assert list(again) == list(expected)
        for number, image in again.items():
            np.testing.assert_array_equal(image, expected[number])
