"""Diary: drafts that were kept, and what became of them. The predictions are judged in the open."""

from __future__ import annotations

from collections.abc import Sequence

import altair as alt
import pandas as pd
import streamlit as st

from serve.app import charts
from serve.app.messages import friendly
from serve.app.setup import current
from serve.app.tables import store
from serve.app.theme import MAIN, NEUTRAL
from serve.app.units import units
from viral.diary.drafts import forget, set_link
from viral.diary.outcomes import MATURE_DAYS, DraftOutcome, outcomes
from viral.diary.report import ENOUGH, EVERYBODY, LEVEL, DiaryEntry, report
from viral.storage.store import Store

FRESH_SECONDS = 60.0  # joining drafts to posts reads the posts table
STATES = {
    "counted": "counts",
    "not posted": "not posted yet, or its post is not in the root",
    "posted before": "was posted before it was scored",
    "too young": f"its counts are less than {MATURE_DAYS:.0f} days old",
    "no label": "its post lacks counts",
    "unlike training": "the model said that it does not know such posts",
}
"""States of drafts in words."""


@st.cache_data(ttl=FRESH_SECONDS, show_spinner="Looking for the posts of the drafts …")
def _outcomes(root: str) -> list[DraftOutcome]:
    return outcomes(Store.open(root))


def page() -> None:
    """Show the page."""
    st.title("Diary")
    st.write(
        "Every draft that somebody kept, with what was predicted on that day, and what its post reached. "
        f"A post counts once its counts are {MATURE_DAYS:.0f} days old."
    )
    with friendly():
        found = _outcomes(current().root)
        if not found:
            st.info("No draft has been kept yet. Score one, and press “Keep in the diary” below its answer.")
            return
        _judgement(found)
        _drafts(found)


def _judgement(found: Sequence[DraftOutcome]) -> None:
    summary = report(found)
    creators = sorted({entry.creator for entry in summary.entries} - {EVERYBODY})
    creator = st.selectbox("Creator", [EVERYBODY, *creators])
    entry = summary.entry(creator) or DiaryEntry(creator, None, 0, enough=False)
    st.header("How the predictions came true")
    if not entry.enough:
        st.info(
            f"Too few to say: {entry.posts} of the {ENOUGH} posts that a judgement needs. With so few, luck and skill "
            "look the same. Keep more drafts, post them, and scrape their counts."
        )
        return
    _numbers(entry)
    months = [e for e in summary.entries if e.creator == creator and e.month]
    _coverage(months)
    _calibration(entry)


def _numbers(entry: DiaryEntry) -> None:
    assert entry.coverage
    assert entry.viral
    left, middle, right = st.columns(3)
    left.metric("Intervals that held", f"{100 * entry.coverage.value:.0f} %", help=f"{100 * LEVEL:.0f} % are promised")
    middle.metric("Viral posts", f"{entry.viral.count}", help=f"{entry.expected_viral:.1f} were expected")
    if entry.pairwise is not None:
        right.metric("Pairs in the right order", f"{100 * entry.pairwise:.0f} %", help="50 % is chance")
    held = entry.coverage
    kept = held.low <= LEVEL <= held.high
    st.write(
        f"{held.count} of {held.total} intervals held; by chance alone it would be {100 * held.low:.0f} to "
        f"{100 * held.high:.0f} %. The promise is {100 * LEVEL:.0f} %: it was {'kept' if kept else 'not kept'}. "
        f"{entry.expected_viral:.1f} viral posts were expected, {entry.viral.count} came."
    )


def _coverage(months: Sequence[DiaryEntry]) -> None:
    st.subheader("Month by month")
    rows = [
        {
            "month": str(entry.month),
            "posts": entry.posts,
            "held": 100 * entry.coverage.value if entry.coverage else None,
            "low": 100 * entry.coverage.low if entry.coverage else None,
            "high": 100 * entry.coverage.high if entry.coverage else None,
            "pairs in order": f"{100 * entry.pairwise:.0f} %" if entry.pairwise is not None else "too few to say",
        }
        for entry in months
    ]
    judged = [row for row in rows if row["held"] is not None]
    if not judged:
        charts.table(rows)
        st.caption(f"No month has the {ENOUGH} posts that a judgement needs.")
        return
    base = alt.Chart(pd.DataFrame(judged)).encode(x=alt.X("month:N", title="month of posting"))
    scale = alt.Scale(domain=[0, 100])
    bars = base.mark_rule(color=NEUTRAL, strokeWidth=4).encode(
        y=alt.Y("low:Q", title="% of intervals that held, with its 95 % interval", scale=scale), y2="high:Q"
    )
    dots = base.mark_point(filled=True, size=110, color=MAIN).encode(y="held:Q", tooltip=["month", "posts", "held"])
    promise = alt.Chart(pd.DataFrame({"y": [100 * LEVEL]})).mark_rule(color=NEUTRAL, strokeDash=[6, 4]).encode(y="y:Q")
    charts.show(alt.layer(bars, dots, promise).properties(height=300), "How often the interval held, by month", rows)


def _calibration(entry: DiaryEntry) -> None:
    st.subheader("What a probability was worth")
    rows = [
        {
            "predicted": 100 * part.predicted,
            "became viral": 100 * part.viral.value,
            "low": 100 * part.viral.low,
            "high": 100 * part.viral.high,
            "posts": part.viral.total,
        }
        for part in entry.calibration
    ]
    scale = alt.Scale(domain=[0, 100])
    base = alt.Chart(pd.DataFrame(rows)).encode(x=alt.X("predicted:Q", title="predicted probability, %", scale=scale))
    bars = base.mark_rule(color=NEUTRAL, strokeWidth=4).encode(
        y=alt.Y("low:Q", title="became viral, % of posts", scale=scale), y2="high:Q"
    )
    dots = base.mark_point(filled=True, size=110, color=MAIN).encode(y=alt.Y("became viral:Q"), tooltip=list(rows[0]))
    line = alt.Chart(pd.DataFrame({"x": [0, 100], "y": [0, 100]})).mark_line(color=NEUTRAL, strokeDash=[6, 4])
    chart = alt.layer(line.encode(x="x:Q", y="y:Q"), bars, dots).properties(height=320)
    st.write("On the dashed line, posts become viral as often as predicted.")
    charts.show(chart, "Predicted against observed, a fifth of the posts each", rows)


def _drafts(found: Sequence[DraftOutcome]) -> None:
    st.header("The drafts")
    charts.table([_row(outcome) for outcome in reversed(found)])
    names = {f"{o.draft['title'] or 'draft'} of {o.draft['kept_at']:%Y-%m-%d %H:%M}": o for o in found}
    with st.expander("Say which post a draft became, or forget a draft"):
        chosen = names[st.selectbox("Draft", list(names))].draft
        link = st.text_input("Page of its post", value=chosen["link"] or "", placeholder="https://www.tiktok.com/…")
        left, right = st.columns(2)
        if left.button("Save the page", width="stretch", disabled=not link):
            set_link(store(), chosen["draft_id"], link)
            _again()
        if right.button("Forget this draft", width="stretch"):
            forget(store(), chosen["draft_id"])
            _again()


def _again() -> None:
    _outcomes.clear()
    st.rerun()


def _row(outcome: DraftOutcome) -> dict[str, object]:
    draft, kind = outcome.draft, units(outcome.draft["label"])
    return {
        "draft": draft["title"] or "draft",
        "creator": draft["creator"] or "-",
        "scored": f"{draft['kept_at']:%Y-%m-%d}",
        "predicted": f"{kind.text(draft['score'])} ({kind.text(draft['low'])} to {kind.text(draft['high'])})",
        "reached": kind.text(outcome.target) if outcome.target is not None else "-",
        "interval": {True: "held", False: "missed", None: "-"}[outcome.inside],
        "state": STATES[outcome.state] + (f", found by {outcome.found_by}" if outcome.found_by else ""),
    }
