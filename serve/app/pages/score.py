"""Score: one draft, its answer and the evidence."""

from __future__ import annotations

import streamlit as st

from serve.app import evidence
from serve.app.details import details
from serve.app.export import downloads
from serve.app.keeping import keep_form
from serve.app.messages import friendly
from serve.app.scored import ScoredDraft, explained, score
from serve.app.visitor import uploader

STATE = "scored"  # the draft in the state of the session; What-if changes it


def page() -> None:
    """Show the page."""
    st.title("Score a draft")
    st.write("Drop a video that you have not posted yet. You get what a model expects that learned from past posts.")
    with friendly():
        videos = uploader("Your video", "score-video")
        context = details("score")
        nothing = not videos and not context.get("caption")
        if st.button("Score it", type="primary", disabled=nothing, width="stretch"):
            st.session_state.pop(STATE, None)
            with st.spinner("Reading and scoring the draft …", show_time=True):
                st.session_state[STATE] = score(videos[0] if videos else None, context)
        if nothing:
            st.caption("Drop a video or write a caption first.")
    draft = st.session_state.get(STATE)
    if draft:
        answer(draft)
        with friendly():
            _evidence(draft)


def _evidence(draft: ScoredDraft) -> None:
    if draft.explanation is None:
        with st.spinner("Looking for the reasons: this reads the video several times …", show_time=True):
            st.session_state[STATE] = draft = explained(draft)
    evidence.show(draft)
    downloads(draft)
    keep_form(draft)


def answer(draft: ScoredDraft) -> None:
    """Show the video and the numbers."""
    score, units = draft.score, draft.units
    st.header("The answer")
    left, right = st.columns([2, 3])
    with left:
        if draft.video and draft.video.exists:
            st.video(draft.video.url)
        elif draft.video:
            st.caption("The video is no longer here.")
        else:
            st.caption("A draft without a video, scored by its words alone.")
    with right:
        if score.percentile is not None:
            st.metric("Ranks above", f"{score.percentile:.0f} of 100", help="posts that the model was not trained on")
        st.metric("Probability of going viral", f"{100 * score.probability:.0f} %")
        st.metric("Expected", f"{units.text(score.score)}")
        st.write(f"Nine of ten such posts end between **{units.text(score.low)}** and **{units.text(score.high)}**.")
    caveats(draft)


def caveats(draft: ScoredDraft) -> None:
    """Show what limits the answer."""
    score = draft.score
    if score.in_distribution is False:
        st.warning("This draft is unlike all posts that the model has learned from: the answer is only the average.")
    if score.missing:
        missing = ", ".join(evidence.MODALITIES.get(name, name) for name in score.missing)
        st.info(f"Missing in this draft: {missing}. The score does without.")
    if score.status == "partial":
        st.info("A part of the file could not be read; the score rests on the rest.")
    for note in score.notes:
        st.caption(f"Note of the model: {note}")
    st.caption(
        f"Model {score.model}. Scores are associations in past posts, not causes; the model sees no counts from after "
        "the posting."
    )
