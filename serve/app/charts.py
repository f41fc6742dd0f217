"""Charts with axes, units and a text table behind each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import altair as alt
import pandas as pd
import streamlit as st

from serve.app.theme import MAIN, NEUTRAL, SECOND

BAR_HEIGHT = 34  # pixels per bar, with its gap: a finger's width apart on a phone
FILM_HEIGHT = 60  # pixels above the hook curve: seven frames fit beside each other on a phone
CURVE_HEIGHT = 300
_CURVE_SHARE = 0.6  # of the height, below the film
_AXIS_HEIGHT = 70  # pixels of an axis with its title
Rows = Sequence[Mapping[str, Any]]
Chart = alt.Chart | alt.LayerChart | alt.FacetChart
"""What altair's functions return, by their annotations."""


def show(chart: Chart, title: str, rows: Rows) -> None:
    """Show a chart and, folded, its numbers as a table.

    Args:
        chart: the chart.
        title: what it shows, in a sentence; screen readers read it.
        rows: the numbers, with the names of the columns as they are to be read.
    """
    st.altair_chart(chart.properties(description=title), width="stretch")
    with st.expander(f"Table: {title[:1].lower()}{title[1:]}"):
        table(rows, title)


def table(rows: Rows, title: str = "Table") -> None:
    """Show rows as a plain table, which screen readers read and which scrolls by itself where it is too wide.

    Streamlit's own would read the texts of others as Markdown, and cannot be scrolled with the keyboard.
    """
    if not rows:
        return
    head = "".join(f'<th scope="col">{escape(str(name))}</th>' for name in rows[0])
    body = "".join(
        f"<tr>{''.join(f'<td>{escape(_cell(row.get(name)))}</td>' for name in rows[0])}</tr>" for row in rows
    )
    st.html(
        f'<div class="numbers" role="region" tabindex="0" aria-label="{escape(title)}">'
        f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def shortened(caption: str) -> str:
    """Return the start of a caption, on one line."""
    text = " ".join(caption.split())
    return text if len(text) <= _CAPTION else f"{text[: _CAPTION - 1]}…"


_CAPTION = 60  # characters of a caption in a table


def _cell(value: object) -> str:
    if value is None or value != value:  # NaN
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:,.3g}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else str(value)


def bars(rows: Rows, name: str, value: str, unit: str) -> Chart:
    """Draw signed bars, the largest first; those below zero in the second colour.

    Args:
        rows: one per bar.
        name: column with its name.
        value: column with its length.
        unit: title of the axis.
    """
    base = alt.Chart(pd.DataFrame(list(rows))).encode(
        y=alt.Y(f"{name}:N", sort="-x", title=None, axis=alt.Axis(labelLimit=110)),
        x=alt.X(f"{value}:Q", title=unit),
        tooltip=[alt.Tooltip(name), alt.Tooltip(value, format="+.3f")],
    )
    colour = alt.condition(f"datum['{value}'] < 0", alt.value(SECOND), alt.value(MAIN))
    zero = alt.Chart(pd.DataFrame({"x": [0]})).mark_rule(color=NEUTRAL).encode(x="x:Q")
    layers = alt.layer(base.mark_bar(size=18).encode(color=colour), zero)
    return layers.properties(height=BAR_HEIGHT * len(rows) + _AXIS_HEIGHT)


def hook(points: Rows, images: Sequence[str], times: Sequence[float], seconds: float, unit: str) -> Chart:
    """Draw the score of the first seconds, under the frames of the video at the same times.

    Args:
        points: `seconds` and `value` each.
        images: frames as data URLs.
        times: of the frames, in seconds.
        seconds: length of the video.
        unit: of the values, for the axis.
    """
    span = alt.Scale(domain=[0, seconds], nice=False)
    x = alt.X("seconds:Q", title="seconds from the start", scale=span)
    values = [point["value"] for point in points]
    room = (max(values) - min(values) or abs(max(values)) or 1.0) / _CURVE_SHARE
    top = min(values) + (room if images else room * _CURVE_SHARE)
    y = alt.Y("value:Q", title=unit, scale=alt.Scale(zero=False, domain=[min(values), top]), axis=alt.Axis(format="~s"))
    base = alt.Chart(pd.DataFrame(list(points)))
    line = base.mark_line(color=MAIN, strokeWidth=3, point=alt.OverlayMarkDef(size=70, color=MAIN)).encode(
        x=x, y=y, tooltip=[alt.Tooltip("seconds", format=".1f"), alt.Tooltip("value", title=unit, format=",.3~s")]
    )
    if not images:
        return alt.layer(line).properties(height=CURVE_HEIGHT)
    frames = alt.Chart(pd.DataFrame({"seconds": times, "image": images}))
    strip = frames.mark_image(height=FILM_HEIGHT, width=FILM_HEIGHT * 9 / 16).encode(
        x=x, y=alt.value(FILM_HEIGHT / 2), url="image:N"
    )
    return alt.layer(strip, line).properties(height=CURVE_HEIGHT)


def intervals(rows: Rows, name: str, low: str, middle: str, high: str, unit: str, *, log: bool = False) -> Chart:
    """Draw a dot with its interval per row, in the order of the rows.

    Args:
        rows: one per interval.
        name: column with its name.
        low: column with its lower end.
        middle: column with the dot.
        high: column with its upper end.
        unit: title of the axis.
        log: whether the axis is logarithmic; a value below 1 is then drawn at 1.
    """
    frame = pd.DataFrame(list(rows))
    if log:
        frame[[low, middle, high]] = frame[[low, middle, high]].clip(lower=1)
    scale = alt.Scale(type="log") if log else alt.Scale(zero=False)
    base = alt.Chart(frame).encode(y=alt.Y(f"{name}:N", sort=None, title=None, axis=alt.Axis(labelLimit=130)))
    axis = alt.X(f"{low}:Q", title=unit, scale=scale, axis=alt.Axis(format="~s"))
    rule = base.mark_rule(color=NEUTRAL, strokeWidth=4).encode(x=axis, x2=f"{high}:Q")
    dots = base.mark_point(filled=True, size=110, color=MAIN).encode(x=f"{middle}:Q", tooltip=[name, low, middle, high])
    return alt.layer(rule, dots).properties(height=BAR_HEIGHT * len(rows) + _AXIS_HEIGHT)
