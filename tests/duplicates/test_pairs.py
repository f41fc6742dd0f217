"""Near-duplicates are found among many videos, and nothing else is."""

from __future__ import annotations

import numpy as np
import pytest

from viral.duplicates.pairs import MAX_SECONDS, Hashes, near_duplicates
from viral.duplicates.perceptual_hash import MIRRORED, VIDEO_HASH

RNG = np.random.default_rng(0)
FIRST_BIT = np.uint64(1)


def videos(count: int) -> Hashes:
    """Hashes of unrelated videos, with a key frame every 5 s."""
    hashes = np.zeros(count, VIDEO_HASH)
    for name, frames in (("opening", 8), ("later", 8)):
        codes = RNG.integers(0, 2**64, (count, frames), np.uint64, endpoint=False)
        hashes[name][:, 0] = codes | FIRST_BIT
    hashes["later_ms"] = np.arange(1, 9) * 5000
    return hashes


def flipped(hashes: Hashes, bits: int) -> Hashes:
    """Copies whose codes differ in as many bits as given."""
    copies = hashes.copy()
    for name in ("opening", "later"):
        for code in np.nditer(copies[name][:, 0], op_flags=[["readwrite"]]):
            for bit in RNG.choice(np.arange(1, 64), bits, replace=False):
                code[...] ^= np.uint64(1) << np.uint64(bit)
    return copies


def pairs(*hashes: Hashes, seconds: list[float] | None = None) -> list[tuple[int, int]]:
    together = np.concatenate(hashes)
    lengths = np.full(len(together), 40.0) if seconds is None else np.array(seconds)
    found = near_duplicates(together, lengths)
    return list(zip(found.first.tolist(), found.second.tolist(), strict=True))


def test_copies_are_found_and_other_videos_of_the_same_length_are_not() -> None:
    originals = videos(300)
    assert pairs(originals, flipped(originals[:20], 3)) == [(row, 300 + row) for row in range(20)]


def test_mirrored_copies_are_found() -> None:
    originals, mirrored = videos(30), videos(1)
    for name in ("opening", "later"):
        mirrored[name][:, 0] = originals[name][3:4, 0] ^ MIRRORED
    assert pairs(originals, mirrored) == [(3, 30)]


def test_a_view_without_bars_matches_the_view_of_a_video_that_has_none() -> None:
    originals = videos(30)
    barred = videos(1)
    for name in ("opening", "later"):
        barred[name][:, 1] = originals[name][7, 0]
    assert pairs(originals, barred) == [(7, 30)]


def test_the_same_intro_before_other_pictures_is_no_copy() -> None:
    originals, template = videos(2), videos(1)
    template["opening"] = originals["opening"][:1]
    assert pairs(originals, template) == []
    template["later_ms"] += 700  # no key frames at the same time: intro and length decide
    assert pairs(originals, template) == [(0, 2)]


@pytest.mark.parametrize(("difference", "found"), [(0.9 * MAX_SECONDS, 1), (1.5 * MAX_SECONDS, 0)])
def test_a_copy_is_about_as_long(difference: float, found: int) -> None:
    for start in np.linspace(10, 10.5, 11):  # wherever the bins end
        original = videos(1)
        assert len(pairs(original, original, seconds=[start, start + difference])) == found


def test_videos_without_enough_contrast_are_no_copies() -> None:
    dark = videos(2)
    dark["opening"][:, :, 1:] = 0
    dark[1] = dark[0]
    assert pairs(dark) == []


def test_all_copies_of_one_video_are_connected_in_little_time() -> None:
    copies = flipped(np.repeat(videos(1), 500), 1)
    first, second = (set(rows) for rows in zip(*pairs(copies), strict=True))
    assert first | second == set(range(500))
    assert pairs(videos(1)) == []
