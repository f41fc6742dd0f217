"""The evidence behind a score, section by section."""

from __future__ import annotations

from typing import Any

import streamlit as st

from serve.app import charts
from serve.app.scored import ScoredDraft
from serve.app.tables import posts_by_id
from viral.explain import ASSOCIATIONS

SHOWN_CHANGES = 8  # of the what-if changes
MODALITIES = {
    "metadata": "time, account, length",
    "text": "caption",
    "audio": "sound",
    "editing": "cuts and motion",
    "image": "pictures",
    "video": "moving pictures",
    "speech": "speech",
    "screen": "text on screen",
    "faces": "faces",
}
"""Modalities in the words of a creator."""
_CHANGES = {
    "trim_start": "start {value} s later",
    "trim_end": "end {value} s earlier",
    "hour": "post at {value}:00 UTC",
    "sound": "use {value} sound",
    "caption": "caption: {value}",
    "followers": "have {value} followers",
}
_SOUNDS = {"original": "your own", "reused": "a known"}


def words(change: str) -> str:
    """Return a what-if change, such as `trim_start=1`, in words."""
    name, _, value = change.partition("=")
    return _CHANGES.get(name, "{name} {value}").format(name=name.replace("_", " "), value=_SOUNDS.get(value, value))


def show(draft: ScoredDraft) -> None:
    """Show all sections that the explanation of a draft has."""
    contributions(draft)
    hook(draft)
    found(draft)
    similar(draft)
    helps(draft)


def contributions(draft: ScoredDraft) -> None:
    """Show what each modality adds."""
    st.subheader("What the score rests on")
    values = draft.section("modalities").get("score") or {}
    if not values:
        st.info("This model is not calibrated yet, so the parts of its score are unknown: run `viral evaluate`.")
        return
    base = draft.units.text(draft.section("modalities")["score_of_nothing"])
    st.write(f"Each part moves the prediction away from the average post, {base}.")
    named = {MODALITIES.get(name, name): value for name, value in values.items()}
    ordered = sorted(named.items(), key=lambda item: -abs(item[1]))
    rows = [
        {"part": name, "effect on the score": value, "in words": draft.units.ratio(value)} for name, value in ordered
    ]
    unit = f"effect on the score ({draft.score.label.replace('_', ' ')})"
    charts.show(charts.bars(rows, "part", "effect on the score", unit), "What each part of the draft adds", rows)


def hook(draft: ScoredDraft) -> None:
    """Show the curve of the first seconds under the pictures."""
    curve = draft.section("hook")
    if not curve:
        return
    st.subheader("The hook, second by second")
    units, points = draft.units, curve["points"]
    if curve.get("rise") is None:
        st.write("The prediction never rises after the first second: the opening promises more than the rest.")
    else:
        st.write(
            f"The prediction rises most from {curve['start']:g} to {curve['stop']:g} s "
            f"({units.ratio(curve['rise'])}). Each point is the score of the video cut off there."
        )
    rows = [{"seconds": p["seconds"], "value": units.value(p["scored"]["score"])} for p in points]
    images, times = (draft.film.images, draft.film.times) if draft.film else ((), ())
    chart = charts.hook(rows, images, times, max(p["seconds"] for p in points), f"predicted {units.noun}")
    named = [{"first seconds": f"{row['seconds']:.1f}", f"predicted {units.noun}": row["value"]} for row in rows]
    charts.show(chart, "The score of the first seconds alone", named)


def found(draft: ScoredDraft) -> None:
    """Show the text and speech that the endpoint found in the video."""
    st.subheader("Text and speech found")
    notes = draft.section("found")
    speech = [note["text"] for note in notes.values() if note.get("text")]
    lines = [line for note in notes.values() for line in note.get("lines") or ()]
    for title, texts in (("Spoken", speech), ("On the screen", lines)):
        if texts:
            st.markdown(f"**{title}**")
            st.text("\n".join(texts))
    if not speech and not lines:
        reads = {"speech", "screen"} & {*draft.score.modalities, *draft.score.missing}
        nothing = "No speech and no text on the screen was found."
        st.write(nothing if reads else "This model reads neither speech nor text on the screen.")


def similar(draft: ScoredDraft) -> None:
    """Show the nearest training posts with what became of them."""
    nearest = draft.section("nearest").get("posts") or []
    st.subheader("Similar posts, and what became of them")
    if not nearest:
        st.write("There is no earlier post by somebody else to compare with.")
        return
    known = posts_by_id([post["post_id"] for post in nearest])
    charts.table([_similar(draft, post, known.get(post["post_id"], {})) for post in nearest])


def _similar(draft: ScoredDraft, post: dict[str, Any], known: dict[str, Any]) -> dict[str, Any]:
    return {
        "post": charts.shortened(known.get("caption") or post["post_id"]),
        "reached": draft.units.text(post["target"]),
        "viral": bool(post["is_viral"]),
        "posted": (post["posted_at"] or "-")[:10],
        "likeness": "close" if post["distance"] < _CLOSE else "far",
    }


_CLOSE = 1.0  # the distance that is typical of posts that the model has not seen


def helps(draft: ScoredDraft) -> None:
    """Show the changes that the model scores higher."""
    tried = draft.section("what_if").get("tried") or []
    st.subheader("What would help")
    st.caption(ASSOCIATIONS)
    if not tried:
        st.write(
            "Give a day and an hour of posting, or drop a video of more than three seconds, to have something to vary."
        )
        return
    best = sorted(tried, key=lambda change: -change["change"])[:SHOWN_CHANGES]
    rows = [change_row(draft, change) for change in best]
    unit = f"change of the score ({draft.score.label.replace('_', ' ')})"
    charts.show(charts.bars(rows, "change", "effect", unit), "What the model makes of each change", rows)
    if all(change["change"] <= 0 for change in best):
        st.write("None of these changes scores higher. Other ones can be tried on the page What-if.")


def change_row(draft: ScoredDraft, change: dict[str, Any]) -> dict[str, Any]:
    """Return a row of a what-if change."""
    units = draft.units
    row = {
        "change": words(change["said"]),
        "effect": change["change"],
        "prediction": units.text(change["scored"]["score"]),
        "in words": units.ratio(change["change"]),
    }
    if change.get("low") is not None:
        row["two such posts differ by"] = f"{units.ratio(change['low'])} to {units.ratio(change['high'])} (90 %)"
    return row
