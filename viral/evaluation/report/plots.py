"""The plots of a report, as SVG that goes into a page. No pyplot, no global state, the same bytes each time.

Colours are written as the page's CSS variables, so that the plots follow its light and dark dress.
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

# Colours that occur nowhere else, each replaced by a variable of the page.
_INK, _MUTED, _LINE, _ACCENT, _OTHER = "#010101", "#020202", "#030303", "#040404", "#050505"
_VARIABLES = {_INK: "--ink", _MUTED: "--muted", _LINE: "--line", _ACCENT: "--accent", _OTHER: "--other"}
_SQUARE = (4.4, 3.6)
_LONGEST_NAME = 26


def comparison(names: Sequence[str], estimates: Sequence[Estimate], label: str, *, name: str = "compare") -> str:
    """One figure of several systems, each with its interval; the first is the model. `name`: its own on a page."""

    def draw(axes: Axes) -> None:
        for row, estimate in enumerate(estimates):
            colour = _ACCENT if row == 0 else _OTHER
            if estimate.value is None:
                axes.text(0.02, row, "undefined", transform=axes.get_yaxis_transform(), va="center", color=_MUTED)
                continue
            if estimate.low is not None and estimate.high is not None:
                axes.plot([estimate.low, estimate.high], [row, row], color=colour, linewidth=2.5, alpha=0.5)
            axes.plot([estimate.value], [row], "o", color=colour, markersize=7)
        axes.set_yticks(range(len(names)), [_short(each) for each in names])
        axes.set_ylim(len(names) - 0.5, -0.5)
        axes.set_xlabel(label)

    return _svg(f"{name} {label}", draw, (4.4, 0.9 + 0.37 * len(names)))


def _short(name: str) -> str:
    """So that a name leaves room for the plot beside it."""
    return name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 1]}…"


def growth(authors: Sequence[int], estimates: Sequence[Estimate], label: str) -> str:
    """One figure of models that learnt from more and more authors, each with its interval."""

    def draw(axes: Axes) -> None:
        for x, each in zip(authors, estimates, strict=True):
            if each.low is not None and each.high is not None:
                axes.plot([x, x], [each.low, each.high], color=_ACCENT, linewidth=2.5, alpha=0.5)
        values = [float("nan") if each.value is None else each.value for each in estimates]
        axes.plot(authors, values, "o-", color=_ACCENT, markersize=7)
        axes.set_xlim(left=0)
        axes.set_xlabel("authors that it learnt from")
        axes.set_ylabel(label)

    return _svg(f"growth {label}", draw)


def over_time(
    days: Sequence[str], estimates: Sequence[Estimate], label: str, limits: Sequence[float], *, name: str
) -> str:
    """One figure window by window, each with its interval, between its limits. `days`: the first of each window."""

    def draw(axes: Axes) -> None:
        rows = np.arange(len(days))
        values, lows, highs = (
            np.array([np.nan if each is None else each for each in ends])
            for ends in zip(*((each.value, each.low, each.high) for each in estimates), strict=True)
        )
        axes.fill_between(rows, lows, highs, color=_ACCENT, alpha=0.2, linewidth=0)
        axes.vlines(rows, lows, highs, color=_ACCENT, linewidth=2.5, alpha=0.5)
        axes.plot(rows, values, "o-", color=_ACCENT, markersize=6)
        for limit in limits:
            axes.axhline(limit, color=_MUTED, linestyle="--", linewidth=1)
        ends = sorted({0, len(days) - 1})  # more dates would touch
        axes.set_xticks(ends, [days[end] for end in ends])
        axes.set_xlim(-0.5, len(days) - 0.5)
        axes.set_ylabel(label)

    return _svg(f"time {name}", draw)


def roc(curve: Curve) -> str:
    """True against false positive rate, with the line of guessing."""

    def draw(axes: Axes) -> None:
        axes.plot([0, 1], [0, 1], "--", color=_MUTED, linewidth=1)
        axes.plot(curve.x, curve.y, color=_ACCENT, linewidth=2)
        _unit(axes, "false alarms: share of the others", "found: share of the viral posts")

    return _svg("roc", draw)


def precision_recall(curve: Curve, share: float) -> str:
    """Precision against recall, with the line of guessing: the share of viral posts."""

    def draw(axes: Axes) -> None:
        axes.plot([0, 1], [share, share], "--", color=_MUTED, linewidth=1)
        axes.plot(curve.x, curve.y, color=_ACCENT, linewidth=2)
        _unit(axes, "recall: share of the viral posts found", "precision")

    return _svg("precision recall", draw)


def reliability(bins: Sequence[Bin]) -> str:
    """How often it happened against how probable it was said to be; the dots grow with the posts."""

    def draw(axes: Axes) -> None:
        most = max(bin_.posts for bin_ in bins)
        sizes = [20 + 180 * bin_.posts / most for bin_ in bins]
        x, y = [bin_.predicted for bin_ in bins], [bin_.happened for bin_ in bins]
        axes.plot([0, 1], [0, 1], "--", color=_MUTED, linewidth=1)
        axes.plot(x, y, color=_ACCENT, linewidth=1)
        axes.scatter(x, y, s=sizes, color=_ACCENT, alpha=0.6, linewidths=0)
        _unit(axes, "probability stated", "share that was viral")

    return _svg("reliability", draw)


def predicted_and_actual(points: Curve) -> str:
    """Each post by its predicted and its actual score, with the line where they agree."""

    def draw(axes: Axes) -> None:
        ends = [min(points.x + points.y), max(points.x + points.y)]
        axes.plot(ends, ends, "--", color=_MUTED, linewidth=1)
        axes.scatter(points.x, points.y, s=12, color=_ACCENT, alpha=0.45, linewidths=0)
        axes.set_xlabel("predicted score")
        axes.set_ylabel("actual score")

    return _svg("scatter", draw)


def residuals(points: Curve) -> str:
    """How often the actual score lies how far above or below the predicted one."""

    def draw(axes: Axes) -> None:
        errors = np.asarray(points.y) - np.asarray(points.x)
        axes.hist(errors, bins=min(30, max(5, len(errors) // 8)), color=_ACCENT, alpha=0.7)
        axes.axvline(0, color=_MUTED, linestyle="--", linewidth=1)
        axes.set_xlabel("actual less predicted score")
        axes.set_ylabel("posts")

    return _svg("residuals", draw)


def _unit(axes: Axes, x: str, y: str) -> None:
    axes.set_xlim(-0.02, 1.02)
    axes.set_ylim(-0.02, 1.02)
    axes.set_xlabel(x)
    axes.set_ylabel(y)


def _svg(name: str, draw: Callable[[Axes], None], size: tuple[float, float] = _SQUARE) -> str:
    matplotlib_without_cache()
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    # On a phone of 320 pixels a plot is four fifths of its size: letters of 12 points are still legible there.
    style: Any = {
        "font.size": 12,
        "xtick.major.pad": 6,
        "ytick.major.pad": 6,
        "svg.fonttype": "none",
        "svg.hashsalt": name,
        "text.parse_math": False,
    }
    with matplotlib.rc_context(style), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")  # the browser has its own fonts; this one only measures
        figure = Figure(figsize=size, layout="constrained")
        axes = figure.add_subplot()
        draw(axes)
        _dress(axes)
        out = io.StringIO()
        metadata = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        FigureCanvasSVG(figure)
        figure.savefig(out, format="svg", metadata=metadata, transparent=True)
    return _inline(out.getvalue())


def _dress(axes: Axes) -> None:
    axes.grid(visible=True, color=_LINE, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(colors=_MUTED, labelcolor=_INK, length=0)
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(_LINE)
    for label in (axes.xaxis.label, axes.yaxis.label):
        label.set_color(_INK)


def _inline(svg: str) -> str:
    """Without the XML head, ids that a page would hold several times, and with the page's colours."""
    body = re.sub(r"<metadata>.*?</metadata>", "", svg[svg.index("<svg") :], flags=re.DOTALL)
    body = re.sub(r'<g id="[^"]*"', "<g", body)
    for colour, variable in _VARIABLES.items():
        body = body.replace(colour, f"var({variable})")
    return body
