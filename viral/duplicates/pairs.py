"""Near-duplicates among many videos, by their perceptual hashes, without comparing all pairs.

Candidates are videos of about the same length that agree in the key bits of any frame of the opening: those of the
lowest frequencies that neither mirroring nor a small crop changes. They are found by sorting, one frame after another,
so the time grows with the number of videos. A candidate is confirmed by all frames of the opening, and by the later
frames that both videos have at the same time.

A copy that was cut shorter is not found. Two videos of one length that differ only after their first four seconds pass
for copies if none of their key frames are at the same time.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np
import numpy.typing as npt

from viral.duplicates.perceptual_hash import MIRRORED, OPENING_FRAMES

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Hashes = npt.NDArray[np.void]
"""Hashes (N,) of the type `VIDEO_HASH`."""
_Codes = npt.NDArray[np.uint64]
_Bools = npt.NDArray[np.bool_]

# Share of differing bits. Copies of 43 real TikToks: at most 0.15, cropped by a tenth 0.21; other TikToks: at least
# 0.33 (tests/bench/duplicates.py).
MAX_DISTANCE = 0.22
MAX_SECONDS = 0.2  # difference of length: a copy may lose the last frames or the end of its sound
_SAME_TIME_MS = 45  # of key frames: encoders may shift the first frame; more would compare both sides of a cut
_MIN_FRAMES = 2  # of the opening with contrast in both videos: a single picture says too little
# Of 64 bits, that of the mean is constant.
_CODE_BITS = 63

_KEY = [8 * row + column for row in range(5) for column in (0, 2)][1:]  # bits that a candidate shares: 9
_EVEN = [bit for bit in range(1, 64) if bit % 2 == 0 and bit not in _KEY]  # bits that order the videos of a key
# Bits of 63 that differ in the frame that made a candidate: a cheap test, which 1 of 200 random candidates passes.
_MAX_FRAME_BITS = 16
# Neighbours that a video is compared with among those of the same key: copies are next to each other, and a key of very
# many videos (one still picture, say) then costs no more than any other.
_NEIGHBOURS = 32


@dataclass(frozen=True)
class DuplicatePairs:
    """Pairs of near-duplicates, each once: indexes `first` < `second` (P,), and the share of equal bits (P,)."""

    first: Ints
    second: Ints
    similarity: Floats


def near_duplicates(hashes: Hashes, seconds: Floats) -> DuplicatePairs:
    """Find the near-duplicates among videos.

    Args:
        hashes: of the videos, (N,).
        seconds: length of each, (N,).

    Returns:
        Pairs that connect each group of copies; of very large groups not all pairs.
    """
    confirm, count = _Confirmation(hashes, seconds), len(hashes)
    found, similarity = np.zeros(0, np.int64), np.zeros(0)  # a pair is a number: first * count + second
    for candidates in _candidates(hashes, seconds):
        # Several frames of a copy make it a candidate; it is confirmed once.
        new = np.setdiff1d(candidates, found)
        distance = confirm.distance(new // count, new % count)
        near = distance <= MAX_DISTANCE
        found, similarity = np.append(found, new[near]), np.append(similarity, 1 - distance[near])
    order = np.argsort(found)
    return DuplicatePairs(found[order] // max(1, count), found[order] % max(1, count), similarity[order])


def _candidates(hashes: Hashes, seconds: Floats) -> Iterator[Ints]:
    """Yield arrays of pairs, each pair as a number; a pair may be in several of them."""
    # Two videos that differ by at most MAX_SECONDS are in the same bin of one of two binnings.
    binnings = [np.floor(seconds / (2 * MAX_SECONDS) + shift).astype(np.uint64) for shift in (0, 0.5)]
    for frame, binning in product(range(OPENING_FRAMES), binnings):
        codes = np.ascontiguousarray(hashes["opening"][:, :, frame])
        videos, views = np.nonzero(codes)
        order_bits = _order(codes[videos, views]) | (binning[videos] << np.uint64(len(_KEY) + len(_EVEN)))
        order = np.argsort(order_bits, kind="stable")
        keys, videos, codes = order_bits[order] >> np.uint64(len(_EVEN)), videos[order], codes[videos, views][order]
        pairs = [np.zeros(0, np.int64)]
        for step in range(1, _NEIGHBOURS + 1):
            same = keys[step:] == keys[:-step]
            # At a greater distance in the sorted order no two keys can be equal either.
            if not same.any():
                break
            close = np.flatnonzero(same & (_differing(codes[step:], codes[:-step]) <= _MAX_FRAME_BITS))
            first, second = np.sort([videos[close], videos[close + step]], axis=0)
            pairs.append((first * len(hashes) + second)[first < second])  # equal: two views of one video
        yield np.unique(np.concatenate(pairs))


def _order(codes: _Codes) -> _Codes:
    """Pack the bits of codes that mirroring does not change, with the key's bits on top."""
    packed = np.zeros_like(codes)
    for bit in (*_KEY, *_EVEN):
        packed = (packed << np.uint64(1)) | ((codes >> np.uint64(bit)) & np.uint64(1))
    return packed


def _differing(a: _Codes, b: _Codes) -> Ints:
    """Number of bits in which codes differ, mirrored or not."""
    differing = a ^ b
    bits: Ints = np.minimum(np.bitwise_count(differing), np.bitwise_count(differing ^ MIRRORED))
    return bits


class _Confirmation:
    """Compares all frames of pairs of videos."""

    def __init__(self, hashes: Hashes, seconds: Floats) -> None:
        self.hashes, self.seconds = hashes, seconds
        self._has_view = (hashes["opening"] != 0).any(axis=2)

    def distance(self, first: Ints, second: Ints) -> Floats:
        """Distance of pairs (P,) in the views that match best; infinite where they cannot be copies.

        It is that of the openings, or that of the later frames at the same time if there are any and it is larger.
        """
        opening, later = np.full((2, len(first)), np.inf)
        close = np.abs(self.seconds[first] - self.seconds[second]) <= MAX_SECONDS
        for view, other, mirror in product((0, 1), (0, 1), (np.uint64(0), MIRRORED)):
            rows = np.flatnonzero(close & self._has_view[first, view] & self._has_view[second, other])
            distance = self._opening(first[rows], second[rows], view, other, mirror)
            better = distance < opening[rows]
            rows = rows[better]
            opening[rows] = distance[better]
            later[rows] = self._later(first[rows], second[rows], view, other, mirror)
        # `fmax` ignores NaN: without later frames at the same time, the openings decide.
        larger: Floats = np.fmax(opening, later)
        return larger

    def _opening(self, first: Ints, second: Ints, view: int, other: int, mirror: np.uint64) -> Floats:
        """Distance of the openings (P,); infinite where too few frames can be compared."""
        a, b = self.hashes["opening"][first, view], self.hashes["opening"][second, other]
        both = (a != 0) & (b != 0)
        most = np.maximum((a != 0).sum(1), (b != 0).sum(1))
        enough = (both.sum(1) >= _MIN_FRAMES) & (2 * both.sum(1) >= most)
        return np.where(enough, _mean_distance(a ^ b ^ mirror, both), np.inf)

    def _later(self, first: Ints, second: Ints, view: int, other: int, mirror: np.uint64) -> Floats:
        """Distance of the later frames that both have at the same time, (P,); NaN without any."""
        times, other_times = (self.hashes["later_ms"][rows].astype(np.int64) for rows in (first, second))
        a, b = self.hashes["later"][first, view][:, :, None], self.hashes["later"][second, other][:, None]
        both = np.abs(times[:, :, None] - other_times[:, None]) <= _SAME_TIME_MS
        both &= (a != 0) & (b != 0)
        return _mean_distance(a ^ b ^ mirror, both)


def _mean_distance(differing: _Codes, compared: _Bools) -> Floats:
    """Mean share of differing bits over the compared frames, (P,); NaN without any."""
    frames_axes = tuple(range(1, compared.ndim))
    bits, frames = (np.bitwise_count(differing) * compared).sum(frames_axes), compared.sum(frames_axes)
    distance: Floats = np.where(frames, bits / np.maximum(frames, 1) / _CODE_BITS, np.nan)
    return distance
