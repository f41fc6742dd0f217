"""The script that Streamlit runs for each visitor: the navigation, and the page that was chosen."""

import streamlit as st

from serve.app.pages import compare, diary, monitor, runs, score, search, trends, what_if
from serve.app.theme import ICON, STYLE

PAGES = {
    "Score": (score.page, ":material/speed:"),
    "Compare": (compare.page, ":material/leaderboard:"),
    "What-if": (what_if.page, ":material/tune:"),
    "Trends": (trends.page, ":material/trending_up:"),
    "Search": (search.page, ":material/search:"),
    "Diary": (diary.page, ":material/menu_book:"),
    "Monitor": (monitor.page, ":material/visibility:"),
    "Runs": (runs.page, ":material/list_alt:"),
}

st.set_page_config(page_title="viral", page_icon=ICON, layout="centered")
st.html(STYLE)
st.navigation(
    [
        st.Page(page, title=title, icon=icon, url_path=title.lower(), default=title == "Score")
        for title, (page, icon) in PAGES.items()
    ],
    position="top",
).run()
