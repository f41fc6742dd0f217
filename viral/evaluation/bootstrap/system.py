"""All figures of one system in resamples of authors: what was sorted and added up once, weighed by each resample."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from viral.evaluation.bootstrap import sums as from_sums
from viral.evaluation.bootstrap.curves import RankedProbability
from viral.evaluation.bootstrap.order import Floats, Rows
from viral.evaluation.bootstrap.ranks import RankedScore, RankedTruth, WeightedTruth
from viral.evaluation.bootstrap.settings import Settings
from viral.evaluation.bootstrap.sums import AuthorSums, Columns

Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Outcome:
    """What became of the posts; each (rows,)."""

    y: Floats
    viral: Bools


@dataclass(frozen=True)
class Judged:
    """What one system said of the posts; each (rows,).

    Attributes:
        probability: that a post is viral.
        score: the score predicted.
        low: the lower end of its interval, if it has any.
        high: the upper end.
        tops: the top 20 % of each author, by what came and by the score; None: no figure within authors.
    """

    probability: Floats
    score: Floats
    low: Floats | None = None
    high: Floats | None = None
    tops: tuple[Bools, Bools] | None = None


@dataclass(frozen=True)
class WeightedSystem:
    """One system, ready for any resample. `means` are the figures that are the mean of a column."""

    score: RankedScore
    probability: RankedProbability
    sums: AuthorSums
    means: tuple[str, ...]
    within: bool
    log_scale: bool

    @classmethod
    def of(
        cls, outcome: Outcome, judged: Judged, truth: RankedTruth, places: Rows, lots: Rows, settings: Settings
    ) -> WeightedSystem:
        """Sorts and adds up. `places` are the authors of the rows, from 0 on, `lots` decide among equals; (rows,)."""
        columns = from_sums.called_columns(outcome.viral, judged.probability, settings.threshold)
        columns |= from_sums.score_columns(outcome.y, judged.score)
        means = _means(outcome.y, judged, settings)
        if judged.tops is not None:
            came, said = judged.tops
            columns |= {"within": (came & said).astype(np.float64), "called_within": said.astype(np.float64)}
        return cls(
            RankedScore.of(judged.score, places, lots, truth),
            RankedProbability.of(judged.probability, outcome.viral, places, lots),
            AuthorSums.of(columns | means, places),
            tuple(means),
            judged.tops is not None,
            settings.log_scale,
        )

    def sorted_figures(self, counts: Floats, truth: WeightedTruth) -> dict[str, float]:
        """The figures of the order in one resample, from how often it holds each author, (authors,)."""
        return self.score.figures(counts, truth) | self.probability.figures(counts)

    def summed_figures(self, counts: Floats, y_varies: Bools, both_vary: Bools) -> Columns:
        """The other figures of many resamples, (resamples,), NaN where undefined.

        Args:
            counts: how often each holds each author, (resamples, authors).
            y_varies: in which of them there are two posts with different scores, (resamples,).
            both_vary: in which there are two with different scores predicted, too, (resamples,).
        """
        with np.errstate(divide="ignore", invalid="ignore"):
            sums = self.sums.weigh(counts)
            figures = from_sums.classification(sums) | from_sums.regression(sums, log_scale=self.log_scale)
            figures |= {name: sums[name] / sums["rows"] for name in self.means}
            within = sums["within"] / sums["called_within"] if self.within else np.full(len(counts), np.nan)
        masks = {"nmse": y_varies, "r2": y_varies, "pearson": both_vary}
        figures |= {name: np.where(defined, figures[name], np.nan) for name, defined in masks.items()}
        return figures | {"top20_precision_within_author": within}


def figures_of_block(
    systems: dict[str, WeightedSystem], truth: RankedTruth, block: Sequence[Floats]
) -> dict[str, Columns]:
    """All figures of all systems, (resamples,), from how often each resample holds each author, (authors,)."""
    varies: list[bool] = []
    found: dict[str, list[dict[str, float]]] = {name: [] for name in systems}
    for counts in block:
        weighed = truth.weigh(counts)
        varies.append(weighed.varies)
        for name, system in systems.items():
            found[name].append(system.sorted_figures(counts, weighed))
    counts, y_varies = np.stack(block), np.array(varies)
    figures = {}
    for name, system in systems.items():
        ranked = {figure: np.array([each[figure] for each in found[name]]) for figure in found[name][0]}
        figures[name] = ranked | system.summed_figures(counts, y_varies, np.isfinite(ranked["spearman"]))
    return figures


def _means(y: Floats, judged: Judged, settings: Settings) -> Columns:
    means = {}
    if settings.quartile is not None:
        means["accuracy_at_75"] = ((y > settings.quartile) == (judged.score > settings.quartile)).astype(np.float64)
    if judged.low is not None and judged.high is not None:
        means |= from_sums.interval_columns(y, judged.low, judged.high, settings.level)
    return means
