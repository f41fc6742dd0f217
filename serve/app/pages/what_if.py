"""What-if: one draft with other ends, another caption, hour or sound, scored again at once."""

from __future__ import annotations

import streamlit as st

from serve.app import charts, evidence
from serve.app.details import SOUNDS, details
from serve.app.messages import friendly
from serve.app.pages.score import STATE
from serve.app.scored import ScoredDraft, changed, score
from serve.app.visitor import uploader
from viral.explain import ASSOCIATIONS

TRIED = "tried"  # the changes so far, in the state of the session
TRIM_STEP = 0.5  # seconds: finer cuts change hardly a frame that the model sees
LONGEST = 60.0  # seconds that can be cut off either end


def page() -> None:
    """Show the page."""
    st.title("What if?")
    st.write("Change one thing at a time, and see what the model makes of it.")
    draft: ScoredDraft | None = st.session_state.get(STATE)
    with friendly():
        if draft is None or (draft.video and not draft.video.exists):
            draft = _scored_here()
        if draft:
            _base(draft)
            _try(draft)
            _results(draft)


def _scored_here() -> ScoredDraft | None:
    videos = uploader("Your video", "what-if-video")
    context = details("what-if")
    if st.button("Score it first", type="primary", disabled=not videos and not context.get("caption"), width="stretch"):
        with st.spinner("Reading and scoring the draft …", show_time=True):
            st.session_state[STATE] = score(videos[0] if videos else None, context)
        st.session_state.pop(TRIED, None)
        st.rerun()
    return None


def _base(draft: ScoredDraft) -> None:
    st.subheader(draft.name)
    left, right = st.columns(2)
    left.metric("Probability of going viral", f"{100 * draft.score.probability:.0f} %")
    right.metric("Expected", draft.units.text(draft.score.score))
    if st.button("Start with another draft"):
        for name in (STATE, TRIED):
            st.session_state.pop(name, None)
        st.rerun()


def _try(draft: ScoredDraft) -> None:
    wanted: list[str] = []
    if draft.video:
        start, end = st.columns(2)
        cuts = {
            "trim_start": start.number_input("Cut off the start, in seconds", 0.0, LONGEST, 0.0, TRIM_STEP),
            "trim_end": end.number_input("Cut off the end, in seconds", 0.0, LONGEST, 0.0, TRIM_STEP),
        }
        wanted += [f"{name}={seconds:g}" for name, seconds in cuts.items() if seconds]
    caption = st.text_area("Another caption", value=draft.context.get("caption") or "")
    if caption != (draft.context.get("caption") or ""):
        wanted.append(f"caption={' '.join(caption.split())}")
    hour = _hour(draft)
    sound = SOUNDS[st.selectbox("Another sound", list(SOUNDS))]
    wanted += [f"hour={hour}"] if hour is not None else []
    wanted += (
        [f"sound={'original' if sound else 'reused'}"]
        if sound not in {None, draft.context.get("sound_original")}
        else []
    )
    tried = st.session_state.setdefault(TRIED, {})
    new = [change for change in wanted if change not in tried]
    if new:  # scored as soon as a field is left: no button
        with st.spinner("Scoring the change …", show_time=True):
            tried.update({answer["said"]: answer for answer in changed(draft, new)})


def _hour(draft: ScoredDraft) -> int | None:
    if "posted_at" not in draft.context:
        st.caption("To try other hours, score the draft with a day and a time of posting.")
        return None
    choice = st.selectbox("Another hour (UTC)", ["as planned", *range(24)])
    return choice if isinstance(choice, int) else None


def _results(draft: ScoredDraft) -> None:
    tried = st.session_state.get(TRIED)
    st.subheader("What came of it")
    if not tried:
        st.write("Nothing is changed yet.")
        return
    rows = [evidence.change_row(draft, answer) for answer in sorted(tried.values(), key=lambda a: -a["change"])]
    unit = f"change of the score ({draft.score.label.replace('_', ' ')})"
    charts.show(charts.bars(rows, "change", "effect", unit), "The changes so far, the best first", rows)
    st.caption(ASSOCIATIONS)
