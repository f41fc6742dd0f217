"""Drift report as JSON and as an HTML page, in the style of the scorecards."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

from viral.evaluation.drift.alarms import AlarmLimits
from viral.evaluation.drift.drift import LEVEL, Drift, DriftWindow
from viral.evaluation.report import plots
from viral.evaluation.report.page import environment

COLUMNS = {
    "predicted": "predicted to be viral",
    "happened": "were viral",
    "ece": "calibration error",
    "coverage": "coverage",
    "roc_auc": "ROC-AUC",
    "residual": "actual minus predicted score",
    "unknown": "unlike the training posts",
}
"""Columns of the page's table: metrics and their headings."""

_JSON_NAMES = {"metrics": "figures", "metric": "figure"}


@dataclass(frozen=True)
class DriftReport:
    """Everything that the page shows.

    Attributes:
        model: name and version.
        since: the first day, ISO 8601.
        every: days per window.
        limits: of the alarms.
        reference: ROC-AUC of the scorecard, if there is one.
        left_out: number of newer posts that were not used, by reason.
        synthetic: whether the model was trained on synthetic posts.
        code_version: of viral.
        drift: windows and alarms.
        notes: caveats for the reader.
    """

    model: str
    since: str
    every: float
    limits: AlarmLimits
    reference: float | None
    left_out: dict[str, int]
    synthetic: bool
    code_version: str
    drift: Drift
    notes: tuple[str, ...] = ()

    def to_json(self) -> str:
        """Convert to JSON."""

        def rename(fields: list[tuple[str, Any]]) -> dict[str, Any]:
            """Give the fields of one record their names in JSON."""
            return {_JSON_NAMES.get(name, name): value for name, value in fields}

        return json.dumps(asdict(self, dict_factory=rename), indent=1, allow_nan=False)

    def to_html(self) -> str:
        """Render a self-contained page, without scripts."""
        windows = self.drift.windows
        # With a single window, the line for all posts would repeat it.
        whole: list[tuple[str, DriftWindow]] = [("all", self.drift.whole)] if len(windows) > 1 else []
        return (
            environment()
            .get_template("drift/drift.html")
            .render(
                report=self,
                level=LEVEL,
                rows=[*((window.days, window) for window in windows), *whole],
                columns={name: words for name, words in COLUMNS.items() if name in self.drift.whole.metrics},
                plots=_plots(self),
            )
        )


def _plots(report: DriftReport) -> list[tuple[str, str, str]]:
    limits, days = report.limits, [window.first[:10] for window in report.drift.windows]

    def plot(metric: str, label: str, lines: tuple[float, ...]) -> str:
        """Plot one metric of all windows, as SVG."""
        estimates = [window.metrics[metric] for window in report.drift.windows]
        return plots.over_time(days, estimates, label, lines, name=metric)

    return [
        (
            "Calibration",
            "Predicted minus observed share of viral posts. Ideal is 0.",
            plot("calibration", "predicted minus observed", (-limits.calibration, limits.calibration)),
        ),
        (
            "Coverage",
            "Share of scores inside their interval. Ideal is 0.9.",
            plot("coverage", "share of posts", limits.coverage),
        ),
    ]
