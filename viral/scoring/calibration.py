"""Calibration of a model's predictions, fitted on validation posts.

Probabilities by a smooth curve (`smooth_probability`), intervals by shifts of their ends (`conformal`), both with posts
weighted by their authors (`author_weights`); percentiles by rank among the same validation posts, called reference
posts here. Stored models of earlier versions keep their isotonic regression or sigmoid, and their one shift per end.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from viral.scoring.conformal import fit_shifts
from viral.scoring.pair_residuals import PairResiduals
from viral.scoring.recalibrated_score import fit_affine
from viral.scoring.smooth_probability import apply_beta, fit_beta

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Method = Literal["smooth", "isotonic", "sigmoid", "none"]

SMOOTH_FROM = 20  # posts: with fewer, the raw probability stays
CONFORMAL_FROM = 11  # posts: more than 1 / (1 - 0.9), so that one at least lies outside the interval
_GRID = 1001  # reference quantiles that are stored at most: one per 0.1 percentile
_EPSILON = 1e-6  # raw probabilities are clipped to this distance from 0 and 1, so that log odds stay finite


@dataclass(frozen=True)
class Calibration:
    """A fitted calibration.

    Attributes:
        method: for the probabilities; `none` if there were too few posts, or all of one class; `isotonic` and `sigmoid`
            in models of earlier versions.
        knots: raw log odds at which the calibrated probability is given, ascending, (K,).
        values: for `smooth`, what `fit_beta` returns; for `isotonic`, the calibrated probability at each knot, (K,),
            linear in between and constant outside; for `sigmoid`, the slope and the intercept of the log odds.
        below: shift of the lower end of an interval, downwards.
        above: shift of the upper end, upwards.
        conformal: whether there were enough posts to shift the ends.
        reference: raw log odds of the reference posts, or evenly spaced quantiles of them, ascending, (Q,).
        base_rate: fraction of the training posts that are viral.
        spread: 5 % and 95 % quantiles of the training posts' label, the interval for out-of-distribution posts.
        posts: number of reference posts.
        pair_residuals: of pairs of reference posts; None with fewer than two. `gaps` in JSON.
        levels: shifts by predicted score, as in `Shifts`; empty in models of earlier versions.
        effective: effective number of reference posts; 0 in models of earlier versions.
        slope: factor of the raw score, which stays 1 in models of earlier versions.
        intercept: added to it.
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
    levels: tuple[tuple[float, float, float], ...] = ()
    effective: float = 0.0
    slope: float = 1.0
    intercept: float = 0.0

    def probability(self, raw: Floats) -> Floats:
        """Calibrate raw probabilities (N,); monotone."""
        if self.method == "none":
            return raw
        if self.method == "smooth":
            return apply_beta(log_odds(raw), self.values)
        if self.method == "sigmoid":
            slope, intercept = self.values
            return _expit(slope * log_odds(raw) + intercept)
        corrected: Floats = np.interp(log_odds(raw), *self._isotonic_knots)
        return corrected

    def quantiles(self, raw: Floats) -> Floats:
        """Recalibrate raw quantiles (N, 3): the score, and the ends to 90 % coverage, without crossing the score."""
        raw = recalibrate(raw, self.slope, self.intercept)
        moved: Floats = np.array(raw, np.float64)
        below, above = self._shifts(raw[:, 1])
        moved[:, 0], moved[:, 2] = raw[:, 0] - below, raw[:, 2] + above
        # From too few posts, an interval says no more than that of all training posts.
        if self.effective and not self.conformal:
            moved[:, 0], moved[:, 2] = np.minimum(moved[:, 0], self.spread[0]), np.maximum(moved[:, 2], self.spread[1])
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

    def _shifts(self, score: Floats) -> tuple[Floats | float, Floats | float]:
        if not self.levels:
            return self.below, self.above
        middles, below, above = np.array(self.levels).T
        return np.interp(score, middles, below), np.interp(score, middles, above)

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
            "smooth": "a smooth curve (beta calibration), posts weighted by their authors",
            "isotonic": "isotonic regression",
            "sigmoid": "a sigmoid of the log odds (Platt)",
            "none": "uncalibrated: too few posts, or all of one class",
        }
        shifts = f"lower end moved down by {self.below:.3g}, upper end up by {self.above:.3g} (conformalised quantiles)"
        if self.levels:
            shifts += f", in {len(self.levels)} groups by predicted score"
        few = "uncalibrated: too few posts" + (", as wide as those of all training posts" if self.effective else "")
        pairs = self.pair_residuals
        return {
            "slice": f"{self.posts:,} posts of the validation split, which are the reference of the percentiles too"
            + (f"; by their authors they count as {self.effective:,.0f}" if self.effective else ""),
            "probabilities": methods[self.method],
            "score": f"{self.slope:.3g} times the model's own, plus {self.intercept:.3g}",
            "intervals": shifts if self.conformal else few,
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
        fields["levels"] = tuple(map(tuple, fields.get("levels", ())))
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
    slope, intercept = fit_affine(quantiles[:, 1], y, authors)
    quantiles = recalibrate(quantiles, slope, intercept)
    method, values = _probabilities(log_odds(probability), viral, authors)
    shifts = fit_shifts(quantiles, y, authors)
    conformal = len(y) >= CONFORMAL_FROM
    reference = np.quantile(log_odds(probability), _plotting_positions(min(_GRID, len(y))), method="hazen")
    return Calibration(
        method=method,
        knots=(),
        values=values,
        below=shifts.below if conformal else 0.0,
        above=shifts.above if conformal else 0.0,
        conformal=conformal,
        reference=tuple(reference.tolist()),
        base_rate=base_rate,
        spread=spread,
        posts=len(y),
        pair_residuals=PairResiduals.fit(quantiles[:, 1], y, authors) if len(y) > 1 else None,
        levels=shifts.levels if conformal else (),
        effective=shifts.effective,
        slope=slope,
        intercept=intercept,
    )


def recalibrate(quantiles: Floats, slope: float, intercept: float) -> Floats:
    """Move raw quantiles (N, 3) by the score's affine recalibration; the distances of the ends from the score stay."""
    if (slope, intercept) == (1.0, 0.0):  # to the last bit, as models of earlier versions say
        return quantiles
    return np.asarray(quantiles + ((slope - 1) * quantiles[:, 1:2] + intercept))


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


def _probabilities(odds: Floats, viral: Bools, authors: npt.NDArray[np.int64]) -> tuple[Method, tuple[float, ...]]:
    # With a single class, the base rate is all that the posts say.
    if len(odds) < SMOOTH_FROM or viral.all() or not viral.any():
        return "none", ()
    return "smooth", fit_beta(odds, viral, authors)
