"""Keeping a scored draft in the diary: only when the visitor says so."""

from __future__ import annotations

from pathlib import PurePath

import streamlit as st

from serve.app.scored import ScoredDraft
from serve.app.tables import store
from viral.diary.drafts import KeptDraft, keep


def keep_form(draft: ScoredDraft) -> None:
    """Show the form that keeps a draft."""
    with st.expander("Keep in the diary"), st.form("keep", border=False):
        st.write(
            "The numbers are stored, and later compared with what the post reached. Everybody who uses this app can "
            "see them, under the title that you give. The video is not stored."
        )
        title = st.text_input("Title", value=PurePath(draft.name).stem[:_TITLE], max_chars=_TITLE)
        creator = st.text_input("Account that will post it, as in the scraped posts (optional)")
        traced = st.checkbox("Store a fingerprint of the video, so that its post can be found", value=True)
        if st.form_submit_button("Keep it", width="stretch"):
            keep(store(), _kept(draft, title, creator, traced=traced))
            st.success("Kept. Its outcome appears on the page Diary once the post is scraped.")


_TITLE = 80  # characters


def _kept(draft: ScoredDraft, title: str, creator: str, *, traced: bool) -> KeptDraft:
    score, film = draft.score, draft.film if traced else None
    return KeptDraft(
        model=score.model,
        label=score.label,
        probability=score.probability,
        score=score.score,
        low=score.low,
        high=score.high,
        percentile=score.percentile,
        known=score.in_distribution,
        title=title.strip() or None,
        creator=creator.strip().removeprefix("@") or None,
        sha256=film.sha256 if film else None,
        video_hash=film.video_hash if film else None,
        seconds=film.seconds if film else None,
    )
