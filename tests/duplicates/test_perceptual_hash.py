"""The hash of a video says what it looks like, not how it is coded."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from viral.duplicates.perceptual_hash import (
    KEY_FRAMES,
    LATE,
    MIRRORED,
    OPENING,
    VIDEO_HASH,
    perceptual_hash,
    with_hashed_frames,
)
from viral.media.media import Facts, FrameBatch, Media
from viral.media.requests import AudioTrack, Frames, Packets, Request

Images = npt.NDArray[np.uint8]
TIMES = np.arange(15) * 0.2


def picture(seed: int, height: int = 199, width: int = 112) -> Images:
    """A soft random picture, uint8 (H, W, 3)."""
    rng, rows, columns = np.random.default_rng(seed), np.arange(height) / height, np.arange(width) / width
    waves = sum(
        rng.normal() * np.outer(np.cos(np.pi * (u * rows + rng.random())), np.cos(np.pi * (v * columns + rng.random())))
        for u in range(1, 9)
        for v in range(1, 9)
    )
    grey = 128 + 100 * waves / np.abs(waves).max()
    return np.repeat(grey[:, :, None], 3, axis=2).astype(np.uint8)


def media(opening: Images, *later: tuple[float, Images]) -> Media:
    """A video that shows one picture for its opening, and key frames at these times."""
    opening_frames = FrameBatch(np.stack([opening] * len(TIMES)), TIMES)
    keys = [(0.0, opening), *later]
    key_frames = FrameBatch(np.stack([image for _, image in keys]), np.array([time for time, _ in keys]))
    return Media(Facts(), {OPENING: opening_frames, KEY_FRAMES: key_frames})


def hashed(opening: Images, *later: tuple[float, Images]) -> np.void:
    value = perceptual_hash(media(opening, *later))
    assert value is not None
    assert len(value) == VIDEO_HASH.itemsize
    return np.frombuffer(value, VIDEO_HASH)[0]


def differing(a: np.uint64, b: np.uint64) -> int:
    return int(np.bitwise_count(a ^ b))


def test_a_mirrored_picture_has_the_mirrored_code() -> None:
    code, mirrored = (hashed(image)["opening"][0, 0] for image in (picture(0), picture(0)[:, ::-1]))
    assert differing(code ^ MIRRORED, mirrored) <= 1
    assert differing(code, mirrored) > 16


def test_noise_and_a_crop_change_few_bits_and_another_picture_half() -> None:
    code = hashed(picture(0))["opening"][0, 0]
    noisy = picture(0) + np.random.default_rng(1).integers(-6, 7, (199, 112, 3))
    assert differing(code, hashed(noisy.clip(0, 255).astype(np.uint8))["opening"][0, 0]) <= 2
    assert differing(code, hashed(picture(0)[3:-3, 2:-2])["opening"][0, 0]) <= 10
    assert 20 <= differing(code, hashed(picture(2))["opening"][0, 0]) <= 44


def test_a_bar_is_cut_off_in_the_second_view() -> None:
    plain = hashed(picture(0))
    assert not plain["opening"][1].any()
    bar = np.full((26, 112, 3), 235, np.uint8)
    bar[8:18, 20:50] = 16  # text
    assert differing(plain["opening"][0, 0], hashed(np.concatenate([bar, picture(0)]))["opening"][1, 0]) <= 4
    beside = np.concatenate([picture(0), np.zeros((199, 20, 3), np.uint8)], axis=1)
    assert differing(plain["opening"][0, 0], hashed(beside)["opening"][1, 0]) <= 4


def test_key_frames_after_the_opening_keep_their_times() -> None:
    value = hashed(picture(0), (2.9, picture(1)), (8.333, picture(2)), (16.7, picture(3)))
    assert value["later_ms"].tolist() == [8333, 16700, *[0] * 6]
    assert differing(value["later"][0, 0], hashed(picture(2))["opening"][0, 0]) == 0
    assert (value["later"][0] != 0).tolist() == [True, True, *[False] * 6]


def test_the_frames_up_to_four_seconds_come_first() -> None:
    video = media(picture(0), (8.3, picture(1)))
    late = {LATE: FrameBatch(np.stack([picture(2)] * 3), np.array([3.38, 3.67, 3.97]))}
    value = perceptual_hash(Media(Facts(), {**video.tracks, **late}))
    assert np.frombuffer(value or b"", VIDEO_HASH)[0]["later_ms"].tolist() == [3400, 3700, 4000, 8300, *[0] * 4]


def test_frames_without_contrast_have_no_code() -> None:
    black = np.zeros((199, 112, 3), np.uint8)
    assert perceptual_hash(Media(Facts())) is None
    assert not hashed(black)["opening"].any()
    assert not hashed(picture(0), (5.0, black))["later"].any()


@pytest.mark.parametrize("requests", [(), (AudioTrack(),), (Packets(),), (KEY_FRAMES,)])
def test_a_hash_decodes_nothing_where_little_else_is_decoded(requests: tuple[Request, ...]) -> None:
    assert with_hashed_frames(requests) == requests


def test_a_hash_adds_its_frames_to_other_pictures() -> None:
    other = Frames(count=2, size=(8, 8))
    assert with_hashed_frames([other]) == (other, OPENING, LATE, KEY_FRAMES)
