"""Expected calibration error of probabilities, which scikit-learn lacks."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

CALIBRATION_BINS = 15  # as in Guo et al. 2017, so that values are comparable with published ones


def calibration_error(y: npt.NDArray[np.bool_], p: npt.NDArray[np.float64]) -> float:
    """Return the expected calibration error over 15 equal bins (Guo et al. 2017, https://arxiv.org/abs/1706.04599).

    Args:
        y: whether each post is viral, (rows,).
        p: predicted probability of viral, (rows,), within 0 to 1.
    """
    # The observed frequency minus the mean probability of a bin, times its rows, is the sum of y - p over the bin.
    gaps = np.bincount(calibration_bins(p), y - p)
    return float(np.abs(gaps).sum() / len(y))


def calibration_bins(p: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """Return the bin of each probability, (rows,), 0 to `CALIBRATION_BINS`; the last has only the probability 1."""
    return np.searchsorted(np.linspace(0, 1, CALIBRATION_BINS + 1), p, side="right") - 1
