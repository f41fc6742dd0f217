"""How far stated probabilities lie from what happened. torchmetrics has the figure, scikit-learn has not."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import numpy.typing as npt

from viral.evaluation.bootstrap.libraries import matplotlib_without_cache

CALIBRATION_BINS = 15


def calibration_error(y: npt.NDArray[np.bool_], p: npt.NDArray[np.float64]) -> float:
    """Expected calibration error over 15 bins of equal width (Guo et al. 2017, https://arxiv.org/abs/1706.04599).

    Args:
        y: whether each post is viral, (rows,).
        p: the probability that it is, (rows,), within 0 to 1.
    """
    import torch

    matplotlib_without_cache()
    from torchmetrics.functional.classification import binary_calibration_error as measure

    with _one_thread():
        return float(measure(torch.tensor(p), torch.tensor(y).long(), n_bins=CALIBRATION_BINS, validate_args=False))


def calibration_bins(p: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """The bin that each probability falls into, as torchmetrics draws them, (rows,), 0 to `CALIBRATION_BINS`.

    The last holds nothing but the probability 1.
    """
    import torch

    edges = torch.linspace(0, 1, CALIBRATION_BINS + 1, dtype=torch.float64)
    found: npt.NDArray[np.int64] = torch.bucketize(torch.tensor(p), edges, right=True).numpy() - 1
    return found


@contextmanager
def _one_thread() -> Iterator[None]:
    """Torch on one thread: on columns this short, and on a busy machine, several wait for each other."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
