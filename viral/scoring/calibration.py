"""Calibration of a model's predictions, fitted on validation posts.

Probabilities by isotonic regression or a sigmoid, intervals by conformalised quantile regression (Romano et al. 2019,
https://arxiv.org/abs/1905.03222), percentiles by rank among the same validation posts, called reference posts here.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from viral.scoring.pair_residuals import PairResiduals

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Method = Literal["isotonic", "sigmoid", "none"]

LEVEL = 0.9  # nominal coverage of the intervals

ISOTONIC_FROM = 1000  # posts: with fewer, isotonic regression overfits (scikit-learn's advice)
SIGMOID_FROM = 20  # posts: ten per parameter of the sigmoid; with fewer, the raw probability stays
ONE_SIDED_FROM = 40  # posts: two lie in each 5 % tail; with fewer, both ends move by the same shift
CONFORMAL_FROM = 11  # posts: more than 1 / (1 - LEVEL), so that one at least lies outside the interval
_GRID = 1001  # reference quantiles that are stored at most: one per 0.1 percentile
_ROUNDING = 1e6  # rounds shifts to about 1e-10, as in the models that were saved with mapie
_EPSILON = 1e-6  # raw probabilities are clipped to this distance from 0 and 1, so that log odds stay finite


@dataclass(frozen=True)
class Calibration:
    """A fitted calibration.

    Attributes:
        method: for the probabilities; `none` if there were too few posts, or all of one class.
        knots: raw log odds at which the calibrated probability is given, ascending, (K,).
        values: for `isotonic`, the calibrated probability at each knot, (K,), linear in between and constant outside;
            for `sigmoid`, the slope and the intercept of the log odds.
        below: shift of the lower end of an interval, downwards.
        above: shift of the upper end, upwards.
        conformal: whether there were enough posts to shift the ends.
        reference: raw log odds of the reference posts, or evenly spaced quantiles of them, ascending, (Q,).
        base_rate: fraction of the training posts that are viral.
        spread: 5 % and 95 % quantiles of the training posts' label, the interval for out-of-distribution posts.
        posts: number of reference posts.
        pair_residuals: of pairs of reference posts; None with fewer than two. `gaps` in JSON.
    """

    method: Method
    knots: tuple[float, ...]
    values: tuple[float, ...]
    below: float
    above: float
    conformal: bool
    reference: tuple[float, ...]
    base_rate: float
    spread: tuple[float, float]
    posts: int
    pair_residuals: PairResiduals | None

    def probability(self, raw: Floats) -> Floats:
        """Calibrate raw probabilities (N,); monotone."""
        if self.method == "none":
            return raw
        if self.method == "sigmoid":
            slope, intercept = self.values
            return _expit(slope * log_odds(raw) + intercept)
        corrected: Floats = np.interp(log_odds(raw), *self._isotonic_knots)
        return corrected

    def quantiles(self, raw: Floats) -> Floats:
        """Shift the ends of raw quantiles (N, 3) to 90 % coverage, without crossing the median."""
        moved: Floats = raw + np.array([-self.below, 0.0, self.above])
        # A shift inwards may be larger than the interval is wide.
        moved[:, 0], moved[:, 2] = np.minimum(moved[:, 0], raw[:, 1]), np.maximum(moved[:, 2], raw[:, 1])
        return moved

    def percentile(self, raw: Floats) -> Floats:
        """Percentage of the reference posts whose raw probability is lower, (N,); ties count half.

        Uniform between 0 and 100 for posts like the reference posts.
        """
        odds, (ascending, descending) = log_odds(raw), self._ranks
        # The middle of equal reference posts: a constant model puts every post at 50.
        first = np.interp(odds, *ascending, left=0, right=100)
        last = 100 - np.interp(-odds, *descending, left=0, right=100)
        return np.asarray(np.clip((first + last) / 2, 0, 100))

    @cached_property
    def _isotonic_knots(self) -> tuple[Floats, Floats]:
        return np.array(self.knots), np.array(self.values)

    @cached_property
    def _ranks(self) -> tuple[tuple[Floats, Floats], tuple[Floats, Floats]]:
        """Distinct log odds of the reference posts with their first ranks, from below and, negated, from above."""
        grid = np.array(self.reference)
        ranks = 100 * _plotting_positions(len(grid))
        return _first_ranks(grid, ranks), _first_ranks(-grid[::-1], ranks)

    def facts(self) -> dict[str, str]:
        """Describe the calibration for people, by topic."""
        methods = {
            "isotonic": "isotonic regression",
            "sigmoid": "a sigmoid of the log odds (Platt)",
            "none": "uncalibrated: too few posts, or all of one class",
        }
        shifts = f"lower end moved down by {self.below:.3g}, upper end up by {self.above:.3g} (conformalised quantiles)"
        pairs = self.pair_residuals
        return {
            "slice": f"{self.posts:,} posts of the validation split, which are the reference of the percentiles too",
            "probabilities": methods[self.method],
            "intervals": shifts if self.conformal else "uncalibrated: too few posts",
            "differences of two posts": f"from {pairs.pairs:,} pairs of posts"
            + (" of one author each" if pairs.one_author else "")
            if pairs
            else "unknown: too few posts",
        }

    def to_dict(self) -> dict[str, Any]:
        """Convert to JSON."""
        stored = asdict(self)
        # `gaps` is the stored name, from before `pair_residuals` had its name: saved models must stay readable.
        return stored | {"gaps": stored.pop("pair_residuals")}

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Calibration:
        """Read what `to_dict` returned."""
        fields: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in stored.items()}
        pairs = fields.pop("gaps")
        return cls(**fields, pair_residuals=PairResiduals.from_dict(pairs) if pairs else None)


def fit(
    probability: Floats,
    quantiles: Floats,
    y: Floats,
    viral: Bools,
    authors: npt.NDArray[np.int64],
    *,
    base_rate: float,
    spread: tuple[float, float],
) -> Calibration:
    """Fit a calibration on validation posts, which are later than the training posts in a split by time.

    Args:
        probability: raw predictions, (N,).
        quantiles: raw 5 %, 50 % and 95 % quantiles of the label, (N, 3).
        y: the label of each post, (N,).
        viral: whether the post was viral, (N,).
        authors: author code of each post, (N,).
        base_rate: fraction of the training posts that are viral.
        spread: 5 % and 95 % quantiles of the training posts' label.
    """
    method, knots, values = _probabilities(log_odds(probability), viral)
    below, above = _ends(quantiles, y)
    reference = np.quantile(log_odds(probability), _plotting_positions(min(_GRID, len(y))), method="hazen")
    return Calibration(
        method=method,
        knots=knots,
        values=values,
        below=below,
        above=above,
        conformal=len(y) >= CONFORMAL_FROM,
        reference=tuple(reference.tolist()),
        base_rate=base_rate,
        spread=spread,
        posts=len(y),
        pair_residuals=PairResiduals.fit(quantiles[:, 1], y, authors) if len(y) > 1 else None,
    )


def log_odds(probability: Floats) -> Floats:
    """Return the log odds (N,), clipped to finite values."""
    clipped = np.clip(probability, _EPSILON, 1 - _EPSILON)
    odds: Floats = np.log(clipped / (1 - clipped))
    return odds


def _expit(odds: Floats) -> Floats:
    return np.asarray(1 / (1 + np.exp(-odds)))


def _plotting_positions(count: int) -> Floats:
    """Quantile levels of a sorted sample of N (Hazen): the smallest is above 0, since a new one may be smaller."""
    return (np.arange(count) + 0.5) / count


def _first_ranks(ascending: Floats, ranks: Floats) -> tuple[Floats, Floats]:
    """Return the distinct values with the first rank of each."""
    values, first = np.unique(ascending, return_index=True)
    return values, ranks[first]


def _probabilities(odds: Floats, viral: Bools) -> tuple[Method, tuple[float, ...], tuple[float, ...]]:
    # With a single class, the base rate is all that the posts say.
    if len(odds) < SIGMOID_FROM or viral.all() or not viral.any():
        return "none", (), ()
    if len(odds) >= ISOTONIC_FROM:
        return "isotonic", *_isotonic(odds, viral)
    return "sigmoid", (), _sigmoid(odds, viral)


def _isotonic(odds: Floats, viral: Bools) -> tuple[tuple[float, ...], tuple[float, ...]]:
    from sklearn.isotonic import IsotonicRegression

    edge = 1 / (len(odds) + 2)  # Laplace's rule of succession: never 0 or 1
    fitted = IsotonicRegression(y_min=edge, y_max=1 - edge, out_of_bounds="clip").fit(odds, viral.astype(np.float64))
    return tuple(fitted.X_thresholds_.tolist()), tuple(fitted.y_thresholds_.tolist())


def _sigmoid(odds: Floats, viral: Bools) -> tuple[float, float]:
    """Platt scaling: slope and intercept of the log odds; the base rate for a model without skill."""
    from sklearn.linear_model import LogisticRegression

    fitted = LogisticRegression(C=1e3).fit(odds[:, None], viral)  # hardly any penalty; finite if classes are separable
    slope, intercept = float(fitted.coef_[0, 0]), float(fitted.intercept_[0])
    # A slope of 0 or less would turn the ranking around: such a model has no skill.
    if slope > 0:
        return slope, intercept
    return 0.0, float(log_odds(np.array([viral.mean()]))[0])


def _ends(quantiles: Floats, y: Floats) -> tuple[float, float]:
    """Conformal shifts of the lower and the upper end, outwards (inwards if negative)."""
    if len(y) < CONFORMAL_FROM:
        return 0.0, 0.0
    below, above = quantiles[:, 0] - y, y - quantiles[:, 2]
    if len(y) < ONE_SIDED_FROM:
        shift = _conformal_quantile(np.maximum(below, above), LEVEL)
        return shift, shift
    # Each tail gets half of what the level leaves.
    return _conformal_quantile(below, (1 + LEVEL) / 2), _conformal_quantile(above, (1 + LEVEL) / 2)


def _conformal_quantile(scores: Floats, level: float) -> float:
    """Conformal quantile of scores (N,): the one of rank ceil(level (N + 1)); a new score is below it at `level`."""
    quantile = float(np.sort(scores)[math.ceil(level * (len(scores) + 1)) - 1])
    return (_ROUNDING + quantile) - _ROUNDING
