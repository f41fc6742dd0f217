"""What makes a model's answers ones that can be taken at their word, fitted on held posts that it was not trained on.

Probabilities by isotonic regression or by a sigmoid; intervals by conformalised quantile regression (Romano et al.
2019, by mapie); percentiles among the reference posts, which are those same held posts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from viral.scoring.pair_residuals import Gaps

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Method = Literal["isotonic", "sigmoid", "none"]

LEVEL = 0.9
"""The share of posts that an interval is meant to hold."""

ISOTONIC_FROM = 1000  # posts: with fewer it follows their luck (scikit-learn's advice, too)
SIGMOID_FROM = 20
ONE_SIDED_FROM = 40  # posts: each end is moved by itself; with fewer both by the same
CONFORMAL_FROM = 11  # posts: fewer have no 90 % quantile with its correction
_GRID = 1001
_SURE = 1e-6  # a probability is never taken to be nearer to 0 or 1 than this before it is calibrated


@dataclass(frozen=True)
class Calibration:
    """How a model's words are corrected.

    Attributes:
        method: of the probabilities; `none` where there were too few posts, or all of one class.
        knots: of the raw log odds, ascending: where the correction is stated, (K,).
        values: the calibrated probability at each knot, (K,); straight lines between them and level beyond for
            `isotonic`; for `sigmoid` the two numbers slope and intercept of the log odds.
        below: by how much the lower end of an interval is moved down.
        above: by how much the upper end is moved up.
        conformal: whether there were enough posts to move the ends.
        reference: the raw log odds of the reference posts, ascending, or of many of them quantiles at even steps, (Q,).
        base_rate: share of viral ones among the training posts.
        spread: the 5 % and 95 % quantiles of the training posts' label: what is said of a post that is not known.
        posts: how many reference posts there were.
        gaps: how far differences between two of them are from those between their scores; None with fewer than two.
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
    gaps: Gaps | None

    def probability(self, raw: Floats) -> Floats:
        """The calibrated probability of each raw one, (N,). Never falls where the raw one rises."""
        if self.method == "none":
            return raw
        if self.method == "sigmoid":
            slope, intercept = self.values
            return _expit(slope * log_odds(raw) + intercept)
        corrected: Floats = np.interp(log_odds(raw), self.knots, self.values)
        return corrected

    def quantiles(self, raw: Floats) -> Floats:
        """The label's quantiles (N, 3), the ends moved so that nine posts of ten lie between them; never crossed."""
        moved: Floats = raw + np.array([-self.below, 0.0, self.above])
        moved[:, 0], moved[:, 2] = np.minimum(moved[:, 0], raw[:, 1]), np.maximum(moved[:, 2], raw[:, 1])
        return moved

    def percentile(self, raw: Floats) -> Floats:
        """Of 100 reference posts, how many the model holds for less probable, (N,), from the raw probabilities.

        Among posts like the reference posts it is uniform between 0 and 100, whatever the shape of the probabilities.
        """
        grid = np.array(self.reference)
        at, odds = 100 * _places(len(grid)), log_odds(raw)
        # Of equal reference posts the middle one: a model that says one thing of all puts all at 50.
        first = np.interp(odds, *_firsts(grid, at), left=0, right=100)
        last = 100 - np.interp(-odds, *_firsts(-grid[::-1], at), left=0, right=100)
        return np.asarray(np.clip((first + last) / 2, 0, 100))

    def facts(self) -> dict[str, str]:
        """How it was done, in words, by what it is about."""
        ways = {
            "isotonic": "isotonic regression",
            "sigmoid": "a sigmoid of the log odds (Platt)",
            "none": "as the model itself says: too few posts, or all of one class",
        }
        moved = f"lower end moved down by {self.below:.3g}, upper end up by {self.above:.3g} (conformalised quantiles)"
        return {
            "slice": f"{self.posts:,} posts of the validation split, which are the reference of the percentiles too",
            "probabilities": ways[self.method],
            "intervals": moved if self.conformal else "as the model itself says: too few posts",
            "differences of two posts": f"from {self.gaps.pairs:,} pairs of posts"
            + (" of one author each" if self.gaps.one_author else "")
            if self.gaps
            else "not known: too few posts",
        }

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Calibration:
        """What `to_dict` gave."""
        fields: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in stored.items()}
        return cls(**fields | {"gaps": Gaps.from_dict(stored["gaps"]) if stored["gaps"] else None})


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
    """Learns the correction from held posts, later than the training posts where the split goes by time.

    Args:
        probability: what the model says, (N,).
        quantiles: 5 %, 50 % and 95 % of the label, as the model says, (N, 3).
        y: the label that each post reached, (N,).
        viral: whether it was viral, (N,).
        authors: a code for each post, (N,); equal codes are one author.
        base_rate: share of viral ones among the training posts.
        spread: the 5 % and 95 % quantiles of the training posts' label.
    """
    method, knots, values = _probabilities(log_odds(probability), viral)
    below, above = _ends(quantiles, y)
    reference = np.quantile(log_odds(probability), _places(min(_GRID, len(y))), method="hazen")
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
        gaps=Gaps.of(quantiles[:, 1], y, authors) if len(y) > 1 else None,
    )


def log_odds(probability: Floats) -> Floats:
    """The log odds (N,), bounded."""
    sure = np.clip(probability, _SURE, 1 - _SURE)
    odds: Floats = np.log(sure / (1 - sure))
    return odds


def _expit(odds: Floats) -> Floats:
    return np.asarray(1 / (1 + np.exp(-odds)))


def _places(count: int) -> Floats:
    """Where the posts of a sorted sample stand: the least of N is not at 0, since a fresh one may be less."""
    return (np.arange(count) + 0.5) / count


def _firsts(ascending: Floats, at: Floats) -> tuple[Floats, Floats]:
    """Each distinct value with the place where it first stands."""
    values, first = np.unique(ascending, return_index=True)
    return values, at[first]


def _probabilities(odds: Floats, viral: Bools) -> tuple[Method, tuple[float, ...], tuple[float, ...]]:
    if len(odds) < SIGMOID_FROM or viral.all() or not viral.any():
        return "none", (), ()
    if len(odds) >= ISOTONIC_FROM:
        return "isotonic", *_isotonic(odds, viral)
    return "sigmoid", (), _sigmoid(odds, viral)


def _isotonic(odds: Floats, viral: Bools) -> tuple[tuple[float, ...], tuple[float, ...]]:
    from sklearn.isotonic import IsotonicRegression

    edge = 1 / (len(odds) + 2)  # so that nobody is told 0 or 1, whatever the held posts were
    made = IsotonicRegression(y_min=edge, y_max=1 - edge, out_of_bounds="clip").fit(odds, viral.astype(np.float64))
    return tuple(made.X_thresholds_.tolist()), tuple(made.y_thresholds_.tolist())


def _sigmoid(odds: Floats, viral: Bools) -> tuple[float, float]:
    """Platt's: slope and intercept of the log odds. A model whose order is worthless gets their mean for all."""
    from sklearn.linear_model import LogisticRegression

    made = LogisticRegression(C=1e3).fit(odds[:, None], viral)
    slope, intercept = float(made.coef_[0, 0]), float(made.intercept_[0])
    if slope > 0:
        return slope, intercept
    return 0.0, float(log_odds(np.array([viral.mean()]))[0])


def _ends(quantiles: Floats, y: Floats) -> tuple[float, float]:
    """By how much each end of the interval is moved outwards (inwards, if negative)."""
    if len(y) < CONFORMAL_FROM:
        return 0.0, 0.0
    from mapie.regression import ConformalizedQuantileRegressor
    from sklearn.base import BaseEstimator, RegressorMixin

    class Column(RegressorMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
        """A quantile that was predicted elsewhere, as mapie takes it."""

        n_features_in_ = 3

        def __init__(self, place: int) -> None:
            self.place = place

        def fit(self, said: Floats, _: Floats) -> Column:
            return self

        def predict(self, said: Floats) -> Floats:
            return said[:, self.place]

    said = np.stack([quantiles[:, 0], quantiles[:, 2], quantiles[:, 1]], axis=1)
    conformal = ConformalizedQuantileRegressor([Column(0), Column(1), Column(2)], confidence_level=LEVEL, prefit=True)
    conformal.conformalize(said, y)
    # Far from each other, so that mapie does not find the ends of this one post crossed.
    asked = np.array([[-1e6, 1e6, 0.0]])
    _, ends = conformal.predict_interval(asked, symmetric_correction=len(y) < ONE_SIDED_FROM)
    return float(-1e6 - ends[0, 0, 0]), float(ends[0, 1, 0] - 1e6)
