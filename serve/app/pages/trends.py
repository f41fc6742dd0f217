"""Trends: what rises, the posts behind it, and what viral posts have in common."""

from __future__ import annotations

from typing import Any

import altair as alt
import pandas as pd
import streamlit as st

from serve.app import charts
from serve.app.messages import friendly
from serve.app.tables import sql, tables, text
from serve.app.theme import MAIN
from viral.trends.kinds import KINDS, TrendKind

SHOWN = 20  # trends of a list
FEATURES_SHOWN = 12  # those with the greatest effect
ORDERS = {"Rise": "rise_rank", "Speed": "velocity_rank"}


def page() -> None:
    """Show the page."""
    st.title("Trends")
    with friendly():
        if "trends" in tables():
            _list()
        elif "trend_features" in tables():
            st.info(
                "Nothing rises in the posts that `viral trends` counted: that takes three authors in its newest days."
            )
        else:
            st.info("There are no trends yet. Run `viral trends` on this root, for example once a day.")
            return
    with friendly():
        _features()


def _list() -> None:
    present = set(sql("SELECT DISTINCT kind FROM trends")["kind"].to_pylist())
    kinds = {kind.title.replace("-", " ").capitalize(): kind for kind in KINDS if kind.name in present}
    left, right = st.columns([2, 1])
    kind = kinds[left.selectbox("What", list(kinds))]
    order = ORDERS[right.selectbox("Sorted by", list(ORDERS), help="rise: against what was usual; speed: per day")]
    rows = sql(
        f"SELECT * FROM trends WHERE kind = {text(kind.name)} ORDER BY {order} LIMIT {SHOWN}"  # noqa: S608 - quoted
    ).to_pylist()
    first = rows[0]
    st.write(
        f"The {len(rows)} strongest in the {first['window_days']:g} days before {first['as_of']:%Y-%m-%d}. "
        "Copies of one clip count once. A star marks a rise that chance rarely gives."
    )
    named = [_row(row, kind) for row in rows]
    unit = f"{kind.unit} per day"
    charts.show(charts.bars(named, "name", unit, unit), f"The {kind.title.replace('-', ' ')} that rise", named)
    _one({_label(row): row for row in rows}, kind)


def _label(row: dict[str, Any]) -> str:
    return f"{row['name']}{' *' if row['beyond_chance'] else ''}"


def _row(row: dict[str, Any], kind: TrendKind) -> dict[str, object]:
    values = {
        "name": _label(row),
        f"{kind.unit} per day": row["velocity"],
        "acceleration": row["acceleration"],
        "rise": row["rise"],
        "authors": row["authors"],
        "median views": row["median_views"],
        "median followers": row["median_followers"],
        "first seen": f"{row['first_seen']:%Y-%m-%d}",
    }
    if row["predicted_probability"] is not None:
        values["will be popular"] = f"{100 * row['predicted_probability']:.0f} %"
    return values


def _one(rows: dict[str, dict[str, Any]], kind: TrendKind) -> None:
    row = rows[st.selectbox("Look at one", list(rows))]
    windows = [
        {"window": number - len(row["counts"]) + 1, kind.unit: count, "of": total}
        for number, (count, total) in enumerate(zip(row["counts"], row["totals"], strict=True))
    ]
    base = alt.Chart(pd.DataFrame(windows)).encode(
        x=alt.X("window:O", title=f"windows of {row['window_days']:g} days, 0 is the newest"),
        y=alt.Y(f"{kind.unit}:Q", title=kind.unit),
    )
    line = base.mark_line(color=MAIN, strokeWidth=3, point=alt.OverlayMarkDef(size=70, color=MAIN))
    charts.show(alt.layer(line).properties(height=220), f"{row['name']}, window by window", windows)
    st.subheader("The posts behind it")
    posts = sql(
        "SELECT rank, caption, views, author_id, posted_at, page_url, post_id FROM trend_posts "  # noqa: S608 - quoted
        f"WHERE trend_id = {text(row['trend_id'])} ORDER BY rank"
    ).to_pylist()
    charts.table(
        [
            {
                "post": charts.shortened(post["caption"] or post["post_id"]),
                "views": post["views"],
                "author": post["author_id"] or "-",
                "posted": f"{post['posted_at']:%Y-%m-%d}",
                "page": post["page_url"] or "-",
            }
            for post in posts
        ]
    )


def _features() -> None:
    st.header("What viral posts have in common")
    if "trend_features" not in tables():
        st.write("There are too few viral posts to say.")
        return
    rows = sql(
        "SELECT feature, effect, low, high, viral_posts, other_posts, viral_mean, other_mean FROM trend_features "  # noqa: S608 - names and numbers of ours
        f"WHERE low > 0 OR high < 0 ORDER BY abs(effect) DESC LIMIT {FEATURES_SHOWN}"
    ).to_pylist()
    st.caption(
        "An effect of +1 means that all viral posts have more of it than all others, 0 that there is none. The "
        "intervals hold for all features at once. None of these is a cause."
    )
    if not rows:
        st.write("No feature differs beyond chance.")
        return
    for row in rows:
        row["feature"] = row["feature"].replace("_", " ")
    chart = charts.intervals(rows, "feature", "low", "effect", "high", "effect (Cliff's delta)")
    charts.show(chart, "How viral posts differ from the others", rows)
