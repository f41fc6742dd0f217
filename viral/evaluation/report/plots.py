"""Plots of a report as inline SVG, drawn without pyplot or global state; equal inputs give equal bytes.

Colours are the page's CSS variables, so the plots follow its light and dark theme.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from viral.evaluation.bootstrap.by_author import Estimate
from viral.evaluation.bootstrap.libraries import matplotlib_without_cache
from viral.evaluation.report.report import Bin, Curve

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Placeholder colours, each replaced by a variable of the page.
_INK, _MUTED, _LINE, _ACCENT, _OTHER = "#010101", "#020202", "#030303", "#040404", "#050505"
_VARIABLES = {_INK: "--ink", _MUTED: "--muted", _LINE: "--line", _ACCENT: "--accent", _OTHER: "--other"}
_SIZE = (4.4, 3.6)  # inches; the page scales the plot to the width of its card
_MAX_NAME = 26  # characters: longer tick labels leave too little room for the plot


def comparison(names: Sequence[str], estimates: Sequence[Estimate], label: str, *, name: str = "compare") -> str:
    """Plot one metric of several systems with intervals; the first is the model. `name` must be unique on a page."""

    def draw(axes: Axes) -> None:
        """Draw a line with a dot per system; the model in its own colour."""
        for row, estimate in enumerate(estimates):
            colour = _ACCENT if row == 0 else _OTHER
            if estimate.value is None:
                axes.text(0.02, row, "undefined", transform=axes.get_yaxis_transform(), va="center", color=_MUTED)
                continue
            if estimate.low is not None and estimate.high is not None:
                axes.plot([estimate.low, estimate.high], [row, row], color=colour, linewidth=2.5, alpha=0.5)
            axes.plot([estimate.value], [row], "o", color=colour, markersize=7)
        short = [name if len(name) <= _MAX_NAME else f"{name[: _MAX_NAME - 1]}…" for name in names]
        axes.set_yticks(range(len(names)), short)
        axes.set(ylim=(len(names) - 0.5, -0.5), xlabel=label)

    return _svg(f"{name} {label}", draw, (4.4, 0.9 + 0.37 * len(names)))


def growth(authors: Sequence[int], estimates: Sequence[Estimate], label: str) -> str:
    """Plot one metric against the number of training authors, with intervals."""

    def draw(axes: Axes) -> None:
        """Draw the intervals, and a line through the values."""
        for x, estimate in zip(authors, estimates, strict=True):
            if estimate.low is not None and estimate.high is not None:
                axes.plot([x, x], [estimate.low, estimate.high], color=_ACCENT, linewidth=2.5, alpha=0.5)
        values = [float("nan") if estimate.value is None else estimate.value for estimate in estimates]
        axes.plot(authors, values, "o-", color=_ACCENT, markersize=7)
        axes.set_xlim(left=0)
        axes.set(xlabel="training authors", ylabel=label)

    return _svg(f"growth {label}", draw)


def over_time(
    days: Sequence[str], estimates: Sequence[Estimate], label: str, limits: Sequence[float], *, name: str
) -> str:
    """Plot one metric per window with its interval and limits. `days` has the first day of each window."""

    def draw(axes: Axes) -> None:
        """Draw the values with their intervals, and the limits as dashed lines."""
        rows = np.arange(len(days))
        values, lows, highs = (
            np.array([np.nan if value is None else value for value in column])
            for column in zip(*((estimate.value, estimate.low, estimate.high) for estimate in estimates), strict=True)
        )
        axes.fill_between(rows, lows, highs, color=_ACCENT, alpha=0.2, linewidth=0)
        axes.vlines(rows, lows, highs, color=_ACCENT, linewidth=2.5, alpha=0.5)
        axes.plot(rows, values, "o-", color=_ACCENT, markersize=6)
        for limit in limits:
            axes.axhline(limit, color=_MUTED, linestyle="--", linewidth=1)
        ends = sorted({0, len(days) - 1})  # more dates would touch
        axes.set_xticks(ends, [days[end] for end in ends])
        axes.set(xlim=(-0.5, len(days) - 0.5), ylabel=label)

    return _svg(f"time {name}", draw)


def roc(curve: Curve) -> str:
    """Plot true against false positive rate, with the diagonal of guessing."""
    return _curve("roc", curve, (0, 1), "false positive rate", "true positive rate (recall)")


def precision_recall(curve: Curve, share: float) -> str:
    """Plot precision against recall, with the line of guessing at the share of viral posts."""
    return _curve("precision recall", curve, (share, share), "recall", "precision")


def _curve(name: str, curve: Curve, guessing: tuple[float, float], x_label: str, y_label: str) -> str:
    def draw(axes: Axes) -> None:
        """Draw the curve, and guessing as a dashed line."""
        axes.plot([0, 1], guessing, "--", color=_MUTED, linewidth=1)
        axes.plot(curve.x, curve.y, color=_ACCENT, linewidth=2)
        _style_unit_axes(axes, x_label, y_label)

    return _svg(name, draw)


def reliability(bins: Sequence[Bin]) -> str:
    """Plot the share of viral posts against the predicted probability; larger dots are more posts."""

    def draw(axes: Axes) -> None:
        """Draw a dot per bin, and the diagonal of perfect calibration."""
        most = max(bin_.posts for bin_ in bins)
        sizes = [20 + 180 * bin_.posts / most for bin_ in bins]
        x, y = [bin_.predicted for bin_ in bins], [bin_.observed for bin_ in bins]
        axes.plot([0, 1], [0, 1], "--", color=_MUTED, linewidth=1)
        axes.plot(x, y, color=_ACCENT, linewidth=1)
        axes.scatter(x, y, s=sizes, color=_ACCENT, alpha=0.6, linewidths=0)
        _style_unit_axes(axes, "predicted probability", "share of viral posts")

    return _svg("reliability", draw)


def predicted_and_actual(points: Curve) -> str:
    """Plot predicted and actual score as a scatter plot with the diagonal."""

    def draw(axes: Axes) -> None:
        """Draw a dot per post, and the diagonal of exact predictions."""
        ends = [min(points.x + points.y), max(points.x + points.y)]
        axes.plot(ends, ends, "--", color=_MUTED, linewidth=1)
        axes.scatter(points.x, points.y, s=12, color=_ACCENT, alpha=0.45, linewidths=0)
        axes.set(xlabel="predicted score", ylabel="actual score")

    return _svg("scatter", draw)


def residuals(points: Curve) -> str:
    """Plot a histogram of actual minus predicted score."""

    def draw(axes: Axes) -> None:
        """Draw the histogram, and a dashed line at zero."""
        errors = np.asarray(points.y) - np.asarray(points.x)
        axes.hist(errors, bins=min(30, max(5, len(errors) // 8)), color=_ACCENT, alpha=0.7)
        axes.axvline(0, color=_MUTED, linestyle="--", linewidth=1)
        axes.set(xlabel="actual minus predicted score", ylabel="posts")

    return _svg("residuals", draw)


def _style_unit_axes(axes: Axes, x_label: str, y_label: str) -> None:
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), xlabel=x_label, ylabel=y_label)


def _svg(name: str, draw: Callable[[Axes], None], size: tuple[float, float] = _SIZE) -> str:
    matplotlib_without_cache()
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    # On a screen 320 pixels wide, a plot shrinks to four fifths of its size: 12 points stay legible.
    style: Any = {
        "font.size": 12,
        "xtick.major.pad": 6,
        "ytick.major.pad": 6,
        # Text stays text, and identifiers are derived from the name: equal inputs give equal bytes.
        "svg.fonttype": "none",
        "svg.hashsalt": name,
        "text.parse_math": False,
    }
    with matplotlib.rc_context(style), warnings.catch_warnings():
        # The browser renders the text; matplotlib's font only measures it.
        warnings.filterwarnings("ignore", "Glyph .* missing")
        figure = Figure(figsize=size, layout="constrained")
        axes = figure.add_subplot()
        draw(axes)
        _style(axes)
        out = io.StringIO()
        FigureCanvasSVG(figure)
        # Without a date, for the same reason.
        metadata = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        figure.savefig(out, format="svg", metadata=metadata, transparent=True)
    return _inline(out.getvalue())


def _style(axes: Axes) -> None:
    axes.grid(visible=True, color=_LINE, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(colors=_MUTED, labelcolor=_INK, length=0)
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(_LINE)
    for label in (axes.xaxis.label, axes.yaxis.label):
        label.set_color(_INK)


def _inline(svg: str) -> str:
    """Drop the XML header and group ids, which would repeat on a page, and insert the page's colour variables."""
    body = re.sub(r"<metadata>.*?</metadata>", "", svg[svg.index("<svg") :], flags=re.DOTALL)
    body = re.sub(r'<g id="[^"]*"', "<g", body)
    for colour, variable in _VARIABLES.items():
        body = body.replace(colour, f"var({variable})")
    return body
