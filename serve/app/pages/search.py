"""Search: posts by words, by meaning, and by an example video."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from serve.app import charts
from serve.app.messages import friendly
from serve.app.setup import current
from serve.app.visitor import uploader
from viral.search.searcher import Hit, Searcher
from viral.storage.store import Store

LIMIT = 20  # posts of an answer
PLACES = {"caption": "in the caption", "speech": "spoken", "screen": "on the screen"}
WORDS, MEANING, EXAMPLE = "These words", "This meaning", "An example video"


@st.cache_resource(show_spinner=False, on_release=Searcher.close)
def _searcher(root: str) -> Searcher:
    return Searcher(Store.open(root))


def page() -> None:
    """Show the page."""
    st.title("Search")
    st.write("Find posts by what is said, written or shown in them.")
    with friendly():
        way = st.radio("Search for", [WORDS, MEANING, EXAMPLE], horizontal=True)
        hits = _by_example() if way == EXAMPLE else _by_text(meaning=way == MEANING)
        if hits is not None:
            _results(hits)


def _by_text(*, meaning: bool) -> list[Hit] | None:
    query = st.text_input("Meaning" if meaning else "Words, in quotation marks if they follow each other")
    if not query.strip():
        return None
    with st.spinner("Searching; the first time, the index is built …", show_time=True):
        searcher = _searcher(current().root)
        return searcher.meaning(query, LIMIT) if meaning else searcher.words(query, LIMIT)


def _by_example() -> list[Hit] | None:
    videos = uploader("A video to find others like it", "search-video")
    if not videos:
        return None
    with st.spinner("Reading the video, and searching …", show_time=True):
        return _searcher(current().root).like_file(str(videos[0].path), LIMIT)


def _results(hits: Sequence[Hit]) -> None:
    if not hits:
        st.info("Nothing was found. Try fewer or other words.")
        return
    st.subheader(f"{len(hits)} posts, the best first")
    charts.table([_row(hit) for hit in hits])


def _row(hit: Hit) -> dict[str, object]:
    posted = hit.post["posted_at"]
    found = "; ".join(f"{PLACES.get(place, place)}: {snippet.text}" for place, snippet in hit.snippets.items())
    return {
        "post": charts.shortened(hit.post["caption"] or hit.post_id),
        "found": found or f"likeness {hit.score:.2f}",
        "views": hit.post["views"],
        "posted": f"{posted:%Y-%m-%d}" if posted else "-",
        "author": hit.post["author_id"] or "-",
        "page": hit.post["page_url"] or "-",
    }
