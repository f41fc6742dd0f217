"""A scored draft as a card (PNG) and as a page (PDF)."""

from __future__ import annotations

import io
from pathlib import PurePath
from textwrap import shorten, wrap
from typing import TYPE_CHECKING

import streamlit as st

from serve.app import evidence
from serve.app.scored import ScoredDraft
from serve.app.theme import MAIN, NEUTRAL, SECOND
from viral.explain import ASSOCIATIONS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

CARD_INCHES, PAGE_INCHES = (6.0, 7.5), (8.27, 11.69)  # 4:5, which feeds show whole; A4
DPI = 180  # a card of 1,080 pixels across
_LINE = 88  # characters of a line on the PDF


def downloads(draft: ScoredDraft) -> None:
    """Show the buttons. The files are drawn when one is pressed."""
    st.subheader("Take it with you")
    stem = PurePath(draft.name).stem.strip("“”… ")[:40] or "draft"
    left, right = st.columns(2)
    left.download_button(
        "Card (PNG)", lambda: card(draft), f"{stem}-score.png", "image/png", on_click="ignore", width="stretch"
    )
    right.download_button(
        "Report (PDF)",
        lambda: report(draft),
        f"{stem}-score.pdf",
        "application/pdf",
        on_click="ignore",
        width="stretch",
    )


def card(draft: ScoredDraft) -> bytes:
    """Draw the card: the number, its interval and what it rests on."""
    figure = _figure(CARD_INCHES)
    _headline(figure, draft, top=0.93)
    _contributions(figure.add_axes((0.30, 0.12, 0.62, 0.30)), draft)
    _footer(figure, draft, 0.035)
    return _saved(figure, "png")


def report(draft: ScoredDraft) -> bytes:
    """Draw the report: the card, the hook curve under the pictures, similar posts and changes, with their caveat."""
    figure = _figure(PAGE_INCHES)
    _headline(figure, draft, top=0.95)
    _contributions(figure.add_axes((0.25, 0.555, 0.65, 0.15)), draft)
    _strip(figure, draft)
    _hook(figure.add_axes((0.12, 0.33, 0.78, 0.11)), draft)
    lines = [*_changes(draft), "", *wrap(ASSOCIATIONS, _LINE)]
    figure.text(0.08, 0.27, "\n".join(lines), va="top", fontsize=9, linespacing=1.5)
    _footer(figure, draft, 0.03)
    return _saved(figure, "pdf")


def _figure(inches: tuple[float, float]) -> Figure:
    from matplotlib.figure import Figure

    return Figure(figsize=inches, facecolor="white")


def _saved(figure: Figure, kind: str) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format=kind, dpi=DPI)
    return buffer.getvalue()


def _headline(figure: Figure, draft: ScoredDraft, top: float) -> None:
    score, units, height = draft.score, draft.units, figure.get_size_inches()[1]

    def line(inches: float, text: str, size: float, weight: str = "normal") -> None:
        figure.text(0.08, top - inches / height, _plain(text), va="top", fontsize=size, fontweight=weight)

    line(0.0, shorten(draft.name, 42, placeholder=" …"), 13)
    line(0.45, f"{100 * score.probability:.0f} %", 44, "bold")
    line(1.3, "probability of going viral", 12)
    rank = "" if score.percentile is None else f"Ranks above {score.percentile:.0f} of 100 posts. "
    line(1.75, f"{rank}Expected: {units.text(score.score)}", 11)
    line(2.05, f"9 of 10 such posts end between {units.text(score.low)} and {units.text(score.high)}.", 10)
    if score.in_distribution is False:
        line(2.35, "Unlike all posts that the model has learned from: only the average.", 10, "bold")


def _contributions(axes: Axes, draft: ScoredDraft) -> None:
    values = draft.section("modalities").get("score") or {}
    ordered = sorted(values.items(), key=lambda item: abs(item[1]))
    names = [evidence.MODALITIES.get(name, name) for name, _ in ordered]
    axes.barh(names, [value for _, value in ordered], color=[MAIN if value >= 0 else SECOND for _, value in ordered])
    axes.axvline(0, color=NEUTRAL, linewidth=1)
    axes.set_xlabel(f"effect on the score ({draft.score.label.replace('_', ' ')})", fontsize=8)
    axes.tick_params(labelsize=8)
    axes.spines[["top", "right"]].set_visible(False)


def _strip(figure: Figure, draft: ScoredDraft) -> None:
    film, seconds = draft.film, (draft.film.seconds if draft.film else None)
    if not film or not seconds:
        return
    for frame, time in zip(film.frames, film.times, strict=True):
        axes = figure.add_axes((0.12 + 0.78 * time / seconds - 0.04, 0.45, 0.08, 0.08))
        axes.imshow(frame)
        axes.axis("off")


def _hook(axes: Axes, draft: ScoredDraft) -> None:
    points = draft.section("hook").get("points") or []
    if not points:
        axes.axis("off")
        return
    seconds = [point["seconds"] for point in points]
    axes.plot(seconds, [draft.units.value(point["scored"]["score"]) for point in points], color=MAIN, marker="o")
    axes.set_xlim(0, max(seconds))
    axes.set_xlabel("seconds from the start", fontsize=8)
    axes.set_ylabel(f"predicted {draft.units.noun}", fontsize=8)
    axes.tick_params(labelsize=8)
    axes.spines[["top", "right"]].set_visible(False)


def _changes(draft: ScoredDraft) -> list[str]:
    tried = sorted(draft.section("what_if").get("tried") or [], key=lambda change: -change["change"])
    rows = [f"   {evidence.words(change['said'])}: {draft.units.ratio(change['change'])}" for change in tried[:6]]
    return (
        ["What the model makes of changes", *(_plain(shorten(row, _LINE, placeholder=" …")) for row in rows)]
        if rows
        else []
    )


def _footer(figure: Figure, draft: ScoredDraft, bottom: float) -> None:
    figure.text(0.08, bottom, f"viral · model {draft.score.model} · associations in past posts, no promise", fontsize=8)


def _plain(text: str) -> str:
    """Keep matplotlib from reading a dollar sign as the start of a formula, and drop what its font cannot draw."""
    return "".join(sign for sign in text.replace("$", r"\$") if ord(sign) < _LAST_DRAWN)


_LAST_DRAWN = 0x2E80  # where scripts begin that the font of matplotlib lacks: Chinese, Japanese, Korean, emoji
