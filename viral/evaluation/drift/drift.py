"""Is a model still right about the posts that came after it? Its figures window by window, and alarms.

An alarm needs the whole of a figure's interval beyond its limit. A model that is as good as ever strays beyond a limit
now and then, by chance, in some of many windows: the interval seldom does.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from viral.evaluation.bootstrap import sums
from viral.evaluation.bootstrap.by_author import AuthorBootstrap, Estimate
from viral.evaluation.bootstrap.curves import RankedProbability
from viral.evaluation.bootstrap.metrics import fixed_lots
from viral.evaluation.bootstrap.sums import AuthorSums, Columns
from viral.evaluation.drift.alarms import Alarm, Limits, beyond

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

LEAST_POSTS = 30
LEAST_AUTHORS = 10
"""Of a window: with fewer it is joined with the next, since of them nothing can be told."""
LEVEL = 0.98
"""Of the intervals: wider than those of a scorecard, since many windows are looked at."""
_DAY = np.timedelta64(86_400_000_000, "us")


@dataclass(frozen=True)
class Outcomes:
    """What a model said of posts, and what became of them; each (rows,).

    Attributes:
        posted_at: when each went up, datetime64[us], UTC.
        authors: a code for each author.
        probability: that the post is viral.
        score: the score predicted.
        low: the lower end of its interval.
        high: the upper end.
        known: whether the post is like those that the model was trained on; None where the model cannot tell.
        y: the score that it reached.
        is_viral: whether it was viral.
    """

    posted_at: npt.NDArray[np.datetime64]
    authors: npt.NDArray[np.int64]
    probability: Floats
    score: Floats
    low: Floats
    high: Floats
    known: Bools | None
    y: Floats
    is_viral: Bools

    def take(self, rows: npt.NDArray[np.int64]) -> Outcomes:
        """Some of the posts."""
        columns = ((each.name, getattr(self, each.name)) for each in fields(self))
        chosen: dict[str, Any] = {name: None if values is None else values[rows] for name, values in columns}
        return Outcomes(**chosen)


@dataclass(frozen=True)
class Window:
    """The posts of some days.

    Attributes:
        first: when the first of them went up, ISO 8601, UTC.
        last: when the last did.
        posts: how many.
        authors: by how many.
        figures: `predicted` (mean probability), `happened` (share that was viral), `calibration` (the first less the
            second), `ece`, `coverage`, `roc_auc`, `residual` (mean of what came less what was predicted) and, where the
            model can tell, `unknown` (share of posts unlike the training posts); with intervals by author.
    """

    first: str
    last: str
    posts: int
    authors: int
    figures: dict[str, Estimate]

    @property
    def days(self) -> str:
        """Its first and last day, in words."""
        return f"{self.first[:10]} to {self.last[:10]}"

    @property
    def tells(self) -> bool:
        """Whether there is enough in it to go by."""
        return self.posts >= LEAST_POSTS and self.authors >= LEAST_AUTHORS


@dataclass(frozen=True)
class Drift:
    """All windows, oldest first; all posts as one; and what is beyond the limits in any of these."""

    windows: tuple[Window, ...]
    whole: Window
    alarms: tuple[Alarm, ...]


def drift(
    outcomes: Outcomes, limits: Limits, *, every: float = 7, reference: Estimate | None = None, resamples: int = 200
) -> Drift:
    """Judge a model on posts that came after it was made.

    Args:
        outcomes: at least one post.
        limits: of the alarms.
        every: days of a window, from the first post on; those with too little in them are joined with the next.
        reference: ROC-AUC of the scorecard; None: no alarm for it.
        resamples: draws of whole authors.
    """
    windows = tuple(_window(outcomes.take(rows), resamples) for rows in windowed(outcomes, every))
    whole = windows[0] if len(windows) == 1 else _window(outcomes, resamples)
    looked_at = windows if whole in windows else (*windows, whole)
    alarms = [alarm for window in looked_at if window.tells for alarm in _alarms(window, limits, reference)]
    return Drift(windows, whole, tuple(alarms))


def windowed(outcomes: Outcomes, every: float) -> list[npt.NDArray[np.int64]]:
    """The rows of each window, oldest first; what is left at the end, if too little, belongs to the last."""
    began = outcomes.posted_at.min()
    codes = ((outcomes.posted_at - began) / _DAY) // every
    found: list[npt.NDArray[np.int64]] = []
    held: npt.NDArray[np.int64] = np.empty(0, np.int64)
    for code in np.unique(codes):
        held = np.concatenate([held, np.flatnonzero(codes == code)])
        if len(held) >= LEAST_POSTS and len(np.unique(outcomes.authors[held])) >= LEAST_AUTHORS:
            found.append(held)
            held = held[:0]
    if len(held):
        found.append(np.concatenate([found.pop(), held]) if found else held)
    return found


def _window(outcomes: Outcomes, resamples: int) -> Window:
    return Window(
        first=_iso(outcomes.posted_at.min()),
        last=_iso(outcomes.posted_at.max()),
        posts=len(outcomes.y),
        authors=len(np.unique(outcomes.authors)),
        figures=_figures(outcomes, AuthorBootstrap(outcomes.authors, resamples, level=LEVEL)),
    )


def _iso(moment: np.datetime64) -> str:
    return f"{np.datetime_as_string(moment, unit='s')}+00:00"


def _figures(outcomes: Outcomes, bootstrap: AuthorBootstrap) -> dict[str, Estimate]:
    columns = _columns(outcomes)
    author_sums = AuthorSums.of(columns, bootstrap.places)
    ranked = RankedProbability.of(
        outcomes.probability, outcomes.is_viral, bootstrap.places, fixed_lots(len(outcomes.y))
    )

    def measure(counts: Floats) -> Columns:
        added = author_sums.weigh(counts)
        found = {name: added[name] / added["rows"] for name in _MEANS if name in added}
        found["calibration"] = found["predicted"] - found["happened"]
        found["ece"] = sums.classification(added)["ece"]
        return found | {"roc_auc": np.array([ranked.figures(each)["roc_auc"] for each in counts])}

    with np.errstate(divide="ignore", invalid="ignore"):
        values = {name: float(found[0]) for name, found in measure(np.ones((1, bootstrap.people))).items()}
        drawn = measure(np.stack([bootstrap.counts(each) for each in range(bootstrap.resamples)]))
    found = {
        name: bootstrap.estimate(value if np.isfinite(value) else None, drawn[name]) for name, value in values.items()
    }
    return _doubted(found, len(outcomes.y))


_MEANS = ("predicted", "happened", "coverage", "residual", "unknown")


def _columns(outcomes: Outcomes) -> Columns:
    """What the figures are sums of; each (rows,)."""
    columns = sums.called_columns(outcomes.is_viral, outcomes.probability, 0.5)
    columns |= {
        "predicted": outcomes.probability,
        "happened": outcomes.is_viral.astype(np.float64),
        "coverage": ((outcomes.low <= outcomes.y) & (outcomes.y <= outcomes.high)).astype(np.float64),
        "residual": outcomes.y - outcomes.score,
    }
    return columns | ({} if outcomes.known is None else {"unknown": (~outcomes.known).astype(np.float64)})


def _doubted(found: dict[str, Estimate], posts: int) -> dict[str, Estimate]:
    """The same, no share surer than it is of as many posts that know nothing of each other.

    Where all posts agree (30 of 30 covered) so do all draws, and the bootstrap would leave no doubt at all.
    """
    shares = {name: found[name] for name in ("happened", "coverage", "unknown") if name in found}
    exact = {name: _exact(each, posts) for name, each in shares.items()}
    happened, gap_found = exact["happened"], found["calibration"]
    predicted = found["predicted"].value or 0.0
    apart = Estimate(gap_found.value, predicted - (happened.high or 0.0), predicted - (happened.low or 0.0))
    wider = {name: _wider(shares[name], each) for name, each in exact.items()}
    return found | wider | {"calibration": _wider(gap_found, apart)}


def _exact(share: Estimate, posts: int) -> Estimate:
    """The interval of Clopper and Pearson 1934 (https://doi.org/10.1093/biomet/26.4.404)."""
    from scipy.stats import binomtest

    ends = binomtest(round((share.value or 0.0) * posts), posts).proportion_ci(LEVEL, method="exact")
    return Estimate(share.value, float(ends.low), float(ends.high))


def _wider(one: Estimate, other: Estimate) -> Estimate:
    lows, highs = ([end for end in ends if end is not None] for ends in ((one.low, other.low), (one.high, other.high)))
    return replace(one, low=min(lows), high=max(highs))


def _alarms(window: Window, limits: Limits, reference: Estimate | None) -> Iterator[Alarm]:
    for figure, sentence in beyond(window.figures, limits, reference):
        yield Alarm(figure, window.first, window.last, f"Posts of {window.days}: {sentence}.")
