"""The windows of time that trends compare."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from viral.errors import ConfigError

SERIES = 8  # windows of a trend's series: enough to see a rise begin, few enough to draw as a small line


@dataclass(frozen=True)
class TrendWindows:
    """`SERIES` windows of equal length that end at `as_of`, which belongs to the newest one.

    Window 0 is the newest: `as_of` - `days` < posting time <= `as_of`. Counted from the end, all of them are whole: the
    last one is never shorter than the others.
    """

    as_of: datetime
    days: float

    @property
    def start(self) -> datetime:
        """Start of the newest window."""
        return self.as_of - timedelta(days=self.days)


def end_of_windows(requested: datetime | None, first: datetime, last: datetime) -> tuple[datetime, str | None]:
    """Choose the end of the newest window, with a note if it is not the requested one.

    After the last post, a window would cover less of the data than the ones before it, and all would seem to fall.

    Raises:
        ConfigError: the request is before the first post.
    """
    if requested is None:
        return last, None
    if requested < first:
        raise ConfigError(f"there are no posts until {requested:%Y-%m-%dT%H:%M:%S}: the first is of {first:%Y-%m-%d}")
    if requested > last:
        return last, f"windows end at the last post, {last:%Y-%m-%dT%H:%M:%SZ}, not after it"
    return requested, None


def parse_time(text: str) -> datetime:
    """Parse a time in ISO 8601; without a zone it is in UTC, without an hour it is the end of the day.

    Raises:
        ConfigError: it is none.
    """
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise ConfigError(f"{text!r} is no time: write it as 2026-03-01 or 2026-03-01T09:30") from None
    if len(text) <= len("2026-03-01"):
        time += timedelta(days=1)
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
