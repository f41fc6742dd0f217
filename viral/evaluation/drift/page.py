"""The report of drift as JSON and as a page, in the dress of the scorecards."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from viral.evaluation.bootstrap.by_author import Estimate
from viral.evaluation.drift.alarms import Limits
from viral.evaluation.drift.drift import LEVEL, Drift
from viral.evaluation.report import plots
from viral.evaluation.report.page import environment

COLUMNS = {
    "predicted": "said to be viral",
    "happened": "were viral",
    "ece": "calibration error",
    "coverage": "coverage",
    "roc_auc": "ROC-AUC",
    "residual": "came less predicted score",
    "unknown": "unlike the training posts",
}
"""The figures of the page's table, in words."""


@dataclass(frozen=True)
class DriftReport:
    """All that is known of how a model fares on later posts.

    Attributes:
        model: name and version.
        since: the first day, ISO 8601.
        every: days of a window.
        limits: of the alarms.
        reference: ROC-AUC of the scorecard, if there is one.
        left_out: how many posts since then say nothing of the model, by reason.
        synthetic: whether the model learnt from made-up posts.
        code_version: of viral.
        drift: windows and alarms.
        notes: what its reader must know.
    """

    model: str
    since: str
    every: float
    limits: Limits
    reference: float | None
    left_out: dict[str, int]
    synthetic: bool
    code_version: str
    drift: Drift
    notes: tuple[str, ...] = ()

    def to_json(self) -> str:
        """All of it."""
        return json.dumps(asdict(self), indent=1, allow_nan=False)

    def to_html(self) -> str:
        """One page that needs no script and no network."""
        windows = self.drift.windows
        return (
            environment()
            .get_template("drift/drift.html")
            .render(
                report=self,
                level=LEVEL,
                rows=[*((window.days, window) for window in windows), *_whole(self.drift)],
                columns={name: words for name, words in COLUMNS.items() if name in self.drift.whole.figures},
                plots=_plots(self),
            )
        )


def _whole(drift: Drift) -> list[tuple[str, object]]:
    return [("all", drift.whole)] if len(drift.windows) > 1 else []


def _plots(report: DriftReport) -> list[tuple[str, str, str]]:
    limits, days = report.limits, [window.first[:10] for window in report.drift.windows]

    def plot(figure: str, label: str, lines: tuple[float, ...]) -> str:
        estimates: list[Estimate] = [window.figures[figure] for window in report.drift.windows]
        return plots.over_time(days, estimates, label, lines, name=figure)

    return [
        (
            "Calibration",
            "How much more posts were said to be viral than were. Right is 0.",
            plot("calibration", "predicted less happened", (-limits.calibration, limits.calibration)),
        ),
        (
            "Coverage",
            "How often the score came to lie in its interval. Right is 0.9.",
            plot("coverage", "share of posts", limits.coverage),
        ),
    ]
