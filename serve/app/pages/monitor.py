"""Monitor: the sightings of a root with their evidence."""

from __future__ import annotations

from typing import Any

import streamlit as st

from serve.app import charts
from serve.app.messages import friendly
from serve.app.tables import sql, tables, text

SHOWN = 200  # sightings, the newest: more is no page to read
STATUSES = {"possible": "possible match, verify", "confirmed": "confirmed", "rejected": "rejected"}


def page() -> None:
    """Show the page."""
    st.title("Monitor")
    st.write("Posts in which the monitor found a face, a flag or a logo. Each is a possible match: verify it.")
    with friendly():
        if "sightings" not in tables():
            st.info("There are no sightings yet. They appear here once `viral monitor` has watched a feed.")
            return
        status = st.radio("Show", list(STATUSES), format_func=STATUSES.__getitem__, horizontal=True)
        chosen = f"WHERE status = {text(status)} ORDER BY detected_at DESC LIMIT {SHOWN}"
        rows = sql(f"SELECT {_COLUMNS} FROM sightings {chosen}").to_pylist()  # noqa: S608 - quoted
        if not rows:
            st.write(f"None is {status}.")
            return
        charts.table([_row(row) for row in rows])
        st.caption("To confirm or reject one: `viral monitor confirm ID` or `viral monitor reject ID`.")


_COLUMNS = "sighting_id, target, page_url, post_id, probability, peak_seconds, reach, detected_at, sha256, model"


def _row(row: dict[str, Any]) -> dict[str, object]:
    return {
        "sighting": row["sighting_id"],
        "target": row["target"],
        "post": row["page_url"] or row["post_id"],
        "at": f"{row['peak_seconds']:.1f} s",
        "score": f"{100 * row['probability']:.0f} %",
        "will be viral": "-" if row["reach"] is None else f"{100 * row['reach']:.0f} %",
        "found": f"{row['detected_at']:%Y-%m-%d %H:%M}",
        "SHA-256 of the file": row["sha256"][:12],
        "model": row["model"],
    }
