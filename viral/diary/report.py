"""How earlier scores came true: coverage of the intervals, calibration and ranking, per creator and month."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from viral.diary.outcomes import DraftOutcome
from viral.evaluation.bootstrap.metrics import ranking

LEVEL = 0.9  # of the intervals that scores come with
# With 20 posts, a coverage of 0.9 is known to about 0.7 to 0.97; with five, 0.9 and 0.5 cannot be told apart.
ENOUGH = 20
BINS = 5  # of the calibration plot: each has a fifth of the posts
_CONFIDENCE = 0.95  # of the intervals of shares
EVERYBODY = "everybody"


@dataclass(frozen=True)
class Share:
    """A share of posts, with its 95 % interval (Wilson)."""

    count: int
    total: int
    low: float
    high: float

    @property
    def value(self) -> float:
        """The share itself."""
        return self.count / self.total


@dataclass(frozen=True)
class CalibrationBin:
    """Posts with similar probabilities: their mean, and the share of them that became viral."""

    predicted: float
    viral: Share


@dataclass(frozen=True)
class DiaryEntry:
    """How the predictions for one creator, of one month or of all time, came true.

    Attributes:
        creator: `author_id`, or `EVERYBODY`.
        month: `2026-03`; None: all time.
        posts: how many count.
        enough: whether `posts` reaches `ENOUGH`: below it, nothing else is said.
        coverage: share of the posts whose interval held; `LEVEL` is promised.
        expected_viral: how many viral posts the probabilities promised; `viral` is how many there were.
        calibration: by probability.
        pairwise: share of pairs of posts that the score put into the right order; 0.5 is chance.
    """

    creator: str
    month: str | None
    posts: int
    enough: bool
    coverage: Share | None = None
    expected_viral: float | None = None
    viral: Share | None = None
    calibration: tuple[CalibrationBin, ...] = ()
    pairwise: float | None = None


@dataclass(frozen=True)
class DiaryReport:
    """Entries per creator and month, everybody first; and how many drafts are in which state."""

    entries: tuple[DiaryEntry, ...]
    states: dict[str, int]

    def entry(self, creator: str = EVERYBODY, month: str | None = None) -> DiaryEntry | None:
        """Return the entry of a creator and a month."""
        return next((e for e in self.entries if (e.creator, e.month) == (creator, month)), None)


def report(outcomes: Sequence[DraftOutcome]) -> DiaryReport:
    """Summarise outcomes; only those in the state `counted` are judged, in the month in which they were posted."""
    groups: dict[tuple[str, str | None], list[DraftOutcome]] = defaultdict(list)
    for outcome in outcomes:
        if outcome.state == "counted" and outcome.posted_at:
            creators = {EVERYBODY, outcome.draft["creator"] or "unknown"}
            for creator in creators:
                groups[creator, None].append(outcome)
                groups[creator, f"{outcome.posted_at:%Y-%m}"].append(outcome)
    keys = sorted(groups, key=lambda key: (key[0] != EVERYBODY, key[0], key[1] is not None, key[1] or ""))
    entries = tuple(judge(groups[key], *key) for key in keys)
    return DiaryReport(entries, dict(Counter(outcome.state for outcome in outcomes)))


def judge(outcomes: Sequence[DraftOutcome], creator: str, month: str | None) -> DiaryEntry:
    """Judge the predictions of one group of counted outcomes."""
    if len(outcomes) < ENOUGH:
        return DiaryEntry(creator, month, len(outcomes), enough=False)
    rows = [(o.draft["probability"], o.draft["score"], o.target, o.is_viral) for o in outcomes]
    probability, score, target, viral = (np.array(column) for column in zip(*rows, strict=True))
    return DiaryEntry(
        creator,
        month,
        len(outcomes),
        enough=True,
        coverage=share(sum(bool(outcome.inside) for outcome in outcomes), len(outcomes)),
        expected_viral=float(probability.sum()),
        viral=share(int(viral.sum()), len(outcomes)),
        calibration=_calibration(probability, viral),
        pairwise=ranking(target, score, viral)["pairwise_accuracy"],
    )


def share(count: int, total: int) -> Share:
    """Return a share with its interval."""
    from scipy.stats import binomtest

    interval = binomtest(count, total).proportion_ci(_CONFIDENCE, method="wilson")
    return Share(count, total, float(interval.low), float(interval.high))


def _calibration(probability: npt.NDArray[np.float64], viral: npt.NDArray[np.bool_]) -> tuple[CalibrationBin, ...]:
    # Equal counts, not equal widths: probabilities crowd near the base rate.
    order = np.argsort(probability, kind="stable")
    parts = np.array_split(order, BINS)
    return tuple(
        CalibrationBin(float(probability[part].mean()), share(int(viral[part].sum()), len(part))) for part in parts
    )
