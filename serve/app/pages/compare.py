"""Compare: two to ten drafts, ranked, with the probability that one beats another."""

from __future__ import annotations

from collections.abc import Sequence

import altair as alt
import pandas as pd
import streamlit as st

from serve.app import charts
from serve.app.details import details
from serve.app.messages import friendly
from serve.app.units import units
from serve.app.visitor import VisitorVideo, client, uploader
from viral.client import ComparedDraft
from viral.explain import ASSOCIATIONS

STATE = "compared"
LEAST, MOST = 2, 10  # drafts, as the endpoint takes them


def page() -> None:
    """Show the page."""
    st.title("Compare drafts")
    st.write(f"Drop {LEAST} to {MOST} versions of a video. They are ranked for the same caption, hour and account.")
    with friendly():
        videos = uploader("Your drafts", "compare-videos", several=True)
        context = details("compare")
        fits = LEAST <= len(videos) <= MOST
        if st.button("Compare them", type="primary", disabled=not fits, width="stretch"):
            st.session_state.pop(STATE, None)
            with st.spinner(f"Reading and scoring {len(videos)} drafts …", show_time=True):
                ranking = client().compare([video.path for video in videos], **context)
            st.session_state[STATE] = _named(ranking, videos)
        if not fits:
            st.caption(f"{len(videos)} of {LEAST} to {MOST} drafts are here.")
        if STATE in st.session_state:
            ranked(st.session_state[STATE])


def _named(ranking: Sequence[ComparedDraft], videos: Sequence[VisitorVideo]) -> list[ComparedDraft]:
    """Name the drafts as the visitor does, with a number where two have one name."""
    names: dict[str, str] = {}
    for video in videos:
        same = sum(name == video.name or name.startswith(f"{video.name} (") for name in names.values())
        names[str(video.path)] = f"{video.name} ({same + 1})" if same else video.name
    return [
        ComparedDraft(
            names[draft.name], draft.score, draft.beats and {names[rival]: p for rival, p in draft.beats.items()}
        )
        for draft in ranking
    ]


def ranked(drafts: Sequence[ComparedDraft]) -> None:
    """Show the ranking."""
    kind = units(drafts[0].score.label)
    st.header("The ranking")
    best, second = drafts[0], drafts[1]
    chance = (best.beats or {}).get(second.name)
    st.write(
        f"**{best.name}** comes first."
        + (f" It beats {second.name} in {100 * chance:.0f} of 100 cases." if chance else "")
    )
    rows = [
        {
            "draft": draft.name,
            "probability of going viral": f"{100 * draft.score.probability:.0f} %",
            "low": kind.value(draft.score.low),
            "expected": kind.value(draft.score.score),
            "high": kind.value(draft.score.high),
        }
        for draft in drafts
    ]
    unit = f"{kind.noun}, expected and 90 % interval"
    chart = charts.intervals(rows, "draft", "low", "expected", "high", unit, log=kind.convert is not None)
    charts.show(chart, "Each draft with its interval", rows)
    if best.beats is None:
        st.info("This model cannot say how often one draft beats another: it has too few posts by the same authors.")
    else:
        st.subheader("How often one beats another")
        _duels(drafts)
    st.caption(ASSOCIATIONS)


def _duels(drafts: Sequence[ComparedDraft]) -> None:
    rows = [
        {"draft": draft.name, "rival": rival, "wins": 100 * probability}
        for draft in drafts
        for rival, probability in (draft.beats or {}).items()
    ]
    order = [draft.name for draft in drafts]
    base = alt.Chart(pd.DataFrame(rows)).encode(
        y=alt.Y("draft:N", sort=order, title="this draft", axis=alt.Axis(labelLimit=110)),
        x=alt.X(
            "rival:N", sort=order, title="beats this one, in % of cases", axis=alt.Axis(labelLimit=90, labelAngle=-40)
        ),
        tooltip=["draft", "rival", alt.Tooltip("wins:Q", format=".0f")],
    )
    # Pale to strong blue, with the number in the square: the colour is no more than a help.
    shades = alt.Scale(domain=[0, 100], range=["#dce8fb", "#7fa8ea"])
    squares = base.mark_rect().encode(color=alt.Color("wins:Q", scale=shades, legend=None))
    numbers = base.mark_text(color="#10151f").encode(text=alt.Text("wins:Q", format=".0f"))
    chart = alt.layer(squares, numbers).properties(height=48 * len(drafts) + 120)
    table = [{**row, "wins": f"{row['wins']:.0f} %"} for row in rows]
    charts.show(chart, "How often the draft at the left beats the one below", table)
