"""Head of a detector: which window of a frame shows the target, learnt from a few frames that show it somewhere.

Windows are whitened by the covariance of windows without the target, so that what all videos have counts little. A
prototype is then the mean direction of the windows that the examples share (exemplar LDA: Hariharan, Malik and Ramanan
2012, Discriminative decorrelation for clustering and classification); with more examples a dense head replaces it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from viral.monitor.detector.backbone import Features
from viral.monitor.detector.decision import Scores

Array = npt.NDArray[np.float32]

DENSE_EXAMPLES = 50  # frames; from fewer, the dense head learns the examples by heart, and finds less
_ROUNDS = 4  # of choosing windows by the prototype, then the prototype by the windows; choices settle after two
_SHRINKAGE = 0.1  # towards a diagonal covariance: directions in which the negatives hardly vary are not noise-free
_HIDDEN, _DROPOUT, _STEPS, _RATE, _DECAY = 32, 0.3, 100, 3e-3, 1e-3
_SAMPLE = 10_000  # negative windows that the covariance is fitted on: 20 per dimension
_HARD = 1000  # negative windows per fit, those most like the target: the others teach nothing
_SEED = 0  # a head is the same on every machine


@dataclass(frozen=True)
class Whitening:
    """Affine map after which windows without the target have mean 0 and covariance 1."""

    mean: Array
    matrix: Array

    @classmethod
    def fit(cls, negatives: Features) -> Whitening:
        """Estimate mean and covariance from windows (N, D) without the target."""
        negatives = negatives[:: -(-len(negatives) // _SAMPLE)]
        mean = negatives.mean(0)
        covariance = np.cov(negatives, rowvar=False).astype(np.float64)
        shrunk = (1 - _SHRINKAGE) * covariance + _SHRINKAGE * np.diag(np.diag(covariance))
        values, vectors = np.linalg.eigh(shrunk + 1e-6 * np.eye(len(shrunk)))
        return cls(mean, ((vectors / np.sqrt(values)) @ vectors.T).astype(np.float32))

    def __call__(self, windows: Features) -> Array:
        """Whiten windows (…, D) and scale them to length 1."""
        white = self.project(windows)
        return np.asarray(white / np.maximum(np.linalg.norm(white, axis=-1, keepdims=True), 1e-6), np.float32)

    def project(self, windows: Features) -> Array:
        """Whiten windows (…, D); the length of a result says how unusual its window is."""
        return np.asarray((windows - self.mean) @ self.matrix, np.float32)


@dataclass(frozen=True)
class Head:
    """Scores of windows. `layers` are the weights of the dense head, empty for a prototype."""

    whitening: Whitening
    prototype: Array
    layers: Mapping[str, Array]

    def window_scores(self, windows: Features) -> Array:
        """Scores (…, R) of windows (…, R, D): log odds of the dense head, or else the cosine with the prototype."""
        white = self.whitening(windows)
        scores = white @ self.prototype
        if self.layers:
            hidden = np.maximum(white @ self.layers["first"] + self.layers["first_bias"], 0)
            scores = hidden @ self.layers["second"][:, 0] + self.layers["second_bias"]
        return np.asarray(scores, np.float32)

    def frame_scores(self, windows: Features) -> Scores:
        """Scores (T,) of frames by their windows (T, R, D): that of the best window."""
        return np.asarray(self.window_scores(windows).max(-1), np.float64)

    def tensors(self) -> dict[str, Array]:
        """The arrays to store."""
        parts = {"mean": self.whitening.mean, "matrix": self.whitening.matrix, "prototype": self.prototype}
        return parts | {f"layers.{name}": array for name, array in self.layers.items()}

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Array]) -> Head:
        """Create the head from `tensors`."""
        layers = {name.removeprefix("layers."): array for name, array in tensors.items() if name.startswith("layers.")}
        return cls(Whitening(tensors["mean"], tensors["matrix"]), tensors["prototype"], layers)


def fit_head(examples: Sequence[Sequence[Features]], negatives: Features, *, dense: bool | None = None) -> Head:
    """Fit a head.

    Args:
        examples: for each example, the windows (R, D) of its frame, then those of changed copies of that frame.
        negatives: windows without the target, (N, D).
        dense: with the dense head; None: from `DENSE_EXAMPLES` examples.
    """
    whitening = Whitening.fit(negatives)
    white = [[whitening(windows) for windows in copies] for copies in examples]
    if len(examples) == 1:
        # No other example to share with: the window least like any without the target.
        prototype = white[0][0][np.argmax(np.linalg.norm(whitening.project(examples[0][0]), axis=-1))]
    else:
        prototype = _shared_window([copies[0] for copies in white])
    for _ in range(_ROUNDS):
        chosen = np.stack([windows[np.argmax(windows @ prototype)] for copies in white for windows in copies])
        prototype = _unit(chosen.mean(0))
    if dense is None:
        dense = len(examples) >= DENSE_EXAMPLES
    if not dense:
        return Head(whitening, prototype, {})
    white_negatives = whitening(negatives)
    hard = white_negatives[np.argsort(-(white_negatives @ prototype))[:_HARD]]
    return Head(whitening, prototype, _fit_layers(chosen, hard))


def _shared_window(examples: Sequence[Array]) -> Array:
    """The window (D,) of any example that the other examples have most alike."""
    best, prototype = -np.inf, examples[0][0]
    for i, windows in enumerate(examples):
        others = [np.max(windows @ other.T, axis=1) for j, other in enumerate(examples) if j != i]
        shared = np.mean(others, axis=0)
        if shared.max() > best:
            best, prototype = float(shared.max()), windows[np.argmax(shared)]
    return np.asarray(prototype, np.float32)


def _fit_layers(positives: Array, negatives: Array) -> dict[str, Array]:
    """Fit a hidden layer with dropout on windows of both kinds, which weigh the same."""
    import torch
    from torch import nn

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(_SEED)
        network = nn.Sequential(
            nn.Dropout(_DROPOUT), nn.Linear(positives.shape[1], _HIDDEN), nn.ReLU(), nn.Dropout(_DROPOUT),
            nn.Linear(_HIDDEN, 1),
        )  # fmt: skip
        optimizer = torch.optim.AdamW(network.parameters(), lr=_RATE, weight_decay=_DECAY)
        # Unit vectors of D values have entries far below 1, which would train slowly.
        scale = float(np.sqrt(positives.shape[1]))
        inputs = [torch.from_numpy(np.ascontiguousarray(part)) * scale for part in (positives, negatives)]
        for _ in range(_STEPS):
            odds = [network(part)[:, 0] for part in inputs]
            loss = nn.functional.softplus(-odds[0]).mean() + nn.functional.softplus(odds[1]).mean()
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]  # torch has no type for it
            optimizer.step()
    first, second = network[1], network[4]
    assert isinstance(first, nn.Linear) and isinstance(second, nn.Linear)
    return {
        "first": first.weight.detach().numpy().T * scale,
        "first_bias": first.bias.detach().numpy(),
        "second": second.weight.detach().numpy().T,
        "second_bias": second.bias.detach().numpy(),
    }


def _unit(vector: Array) -> Array:
    return np.asarray(vector / max(float(np.linalg.norm(vector)), 1e-6), np.float32)
