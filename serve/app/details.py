"""The fields about a draft besides its video, and the context that the endpoint gets of them."""

from __future__ import annotations

from datetime import date, datetime, time
from typing import Any, cast
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import pyarrow as pa
import streamlit as st

from viral.client.calls import DraftContext
from viral.errors import ConfigError
from viral.sources.hashtags import parse_hashtags

MAX_CAPTION = 4000  # characters; TikTok's own limit
SOUNDS = {"I do not know yet": None, "My own sound": True, "A sound that others use": False}
_HOUR = 3600


def details(key: str, *, caption: bool = True) -> DraftContext:
    """Show the fields and return what they hold.

    Args:
        key: start of the names of the fields in the state of the session.
        caption: whether to ask for the caption.

    Raises:
        ConfigError: an hour without a day.
    """
    text = st.text_area("Caption, with its hashtags", key=f"{key}-caption", max_chars=MAX_CAPTION) if caption else ""
    with st.expander("When, by whom, with which sound (all optional)"):
        left, right = st.columns(2)
        day = left.date_input("Day of posting", value=None, key=f"{key}-day")
        hour = right.time_input("Time of posting", value=None, step=_HOUR, key=f"{key}-hour")
        left.caption(f"In your time zone, {zone_name()}.")
        followers = left.number_input("Followers of the account", 0, value=None, step=100, key=f"{key}-followers")
        sound = right.selectbox("Sound", list(SOUNDS), key=f"{key}-sound")
    return context(text or "", day, hour, followers, SOUNDS[sound])


def context(
    caption: str, day: date | None, hour: time | None, followers: int | None, sound: bool | None
) -> DraftContext:
    """Build the context; hashtags are read from the caption, as the import of posts does. Raises ConfigError."""
    if hour and not day:
        raise ConfigError("choose the day of posting, too: an hour alone has no weekday")
    values: dict[str, Any] = {"caption": caption or None, "author_followers": followers, "sound_original": sound}
    if caption:
        values["hashtags"] = parse_hashtags(None, pa.array([caption]))[0].as_py()
    if day:
        values["posted_at"] = datetime.combine(day, hour or time(12), tzinfo=_zone())
    return cast("DraftContext", {name: value for name, value in values.items() if value is not None})


def zone_name() -> str:
    """Name of the visitor's time zone, as the browser tells it."""
    return st.context.timezone or "UTC"


def _zone() -> ZoneInfo:
    try:
        return ZoneInfo(zone_name())
    except (ZoneInfoNotFoundError, ValueError):
        return ZoneInfo("UTC")
