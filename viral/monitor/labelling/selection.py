"""Choice of frames to label: unlike each other first; with a detector, those that it is unsure of first."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from viral.monitor.detector.backbone import Features

Doubles = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_ROWS, _COLUMNS = 3, 2  # cells of a frame: in the mean of a whole frame, a small logo that comes or goes is lost
SAME = 0.9
"""Similarity of near-duplicates. Frames of four real TikToks: re-encoded at half the size at least 0.95, with a drawn
logo or flag added at most 0.84."""
_PER_VIDEO = 3  # frames of one video among those that the detector is unsure of: one odd video must not fill the folder
_UNSURE, _HARD = 0.5, 0.25  # of the frames; the rest is chosen for diversity, to show what the detector does not know


def describe(windows: Features, boxes: npt.NDArray[np.float32]) -> Features:
    """Describe frames by the mean windows of their cells.

    Args:
        windows: of `Backbone.windows`, (T, R, D).
        boxes: of `Backbone.grid`, (R, 4).

    Returns:
        One vector of length 1 per cell, (T, cells, D).
    """
    x, y = (boxes[:, 0] + boxes[:, 2]) / 2, (boxes[:, 1] + boxes[:, 3]) / 2
    cells = np.minimum((y * _ROWS).astype(int), _ROWS - 1) * _COLUMNS + np.minimum((x * _COLUMNS).astype(int), 1)
    means = np.stack([windows[:, cells == cell].mean(1) for cell in range(_ROWS * _COLUMNS)], axis=1)
    return np.asarray(means / np.maximum(np.linalg.norm(means, axis=-1, keepdims=True), 1e-6), np.float32)


def similarity(descriptors: Features, other: Features) -> Doubles:
    """Similarity (N,) of frames (N, cells, D) to a frame (cells, D): that of the cells that differ most."""
    return np.asarray((descriptors * other).sum(-1).min(-1), np.float64)


class Selection:
    """Chosen frames, as indexes in `chosen`; none is a near-duplicate of another one, or of an earlier frame.

    Args:
        descriptors: of the candidates, (N, cells, D).
        earlier: of frames that were chosen in earlier runs, (M, cells, D).
    """

    def __init__(self, descriptors: Features, earlier: Features) -> None:
        self.chosen: list[int] = []
        self._descriptors = descriptors
        # Of each candidate, the similarity to the frame that is most like it.
        self._nearest = np.full(len(descriptors), -np.inf)
        for frame in earlier:
            self._nearest = np.maximum(self._nearest, similarity(descriptors, frame))

    def take(self, index: int) -> bool:
        """Choose a candidate unless it is a near-duplicate; return whether it was chosen."""
        if self._nearest[index] >= SAME:
            return False
        self.chosen.append(index)
        self._nearest = np.maximum(self._nearest, similarity(self._descriptors, self._descriptors[index]))
        return True

    def take_diverse(self, count: int) -> None:
        """Choose up to `count` more, each time the candidate that is least like all others (farthest point)."""
        for _ in range(count if len(self._descriptors) else 0):
            if not self.take(int(np.argmin(self._nearest))):
                return

    def take_in_order(self, order: Sequence[int], videos: Ints, count: int) -> None:
        """Choose up to `count` more in this order; of each video, as (N,) numbers it, only a few."""
        per_video = np.bincount(videos[self.chosen], minlength=videos.max(initial=0) + 1)
        for index in order:
            if count <= 0:
                return
            if per_video[videos[index]] < _PER_VIDEO and self.take(index):
                per_video[videos[index]] += 1
                count -= 1

    def take_unsure(self, margins: Doubles, videos: Ints, count: int) -> None:
        """Choose up to `count`: scores nearest to the threshold, then the highest ones, then diverse frames.

        Args:
            margins: scores less the threshold, (N,). What scores highest without showing the target is a hard negative.
            videos: number of the video of each candidate, (N,).
            count: how many.
        """
        self.take_in_order(np.argsort(np.abs(margins)).tolist(), videos, round(count * _UNSURE))
        self.take_in_order(np.argsort(-margins).tolist(), videos, round(count * _HARD))
        self.take_diverse(count - len(self.chosen))
