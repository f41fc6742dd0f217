"""When alerts are sent: at once or as a digest, and not in quiet hours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from viral.errors import ConfigError
from viral.monitor.alerts.alert import MonitorAlert


@dataclass(frozen=True)
class Schedule:
    """`digest`: time after the oldest waiting alert, then all in one message; None: each at once.

    `quiet` are hours of the day in `zone` in which nothing is sent; they may pass midnight.
    """

    digest: timedelta | None = None
    quiet: tuple[time, time] | None = None
    zone: tzinfo = UTC

    @classmethod
    def parse(cls, digest_hours: float | None, quiet: str | None, zone: str) -> Schedule:
        """Read the options of the command. Raises ConfigError."""
        hours = None if digest_hours is None else timedelta(hours=digest_hours)
        try:
            known = ZoneInfo(zone)
        except (ZoneInfoNotFoundError, ValueError) as error:
            raise ConfigError(f"there is no time zone {zone!r}: write Europe/Berlin, for example") from error
        if quiet is None:
            return cls(hours, None, known)
        try:
            start, end = (time.fromisoformat(part) for part in quiet.split("-"))
        except ValueError as error:
            raise ConfigError(f"{quiet!r} are no quiet hours: write 22:00-07:00") from error
        return cls(hours, (start, end), known)

    def is_due(self, alerts: Sequence[MonitorAlert], now: datetime) -> bool:
        """Whether waiting alerts are to be sent now."""
        if self.quiet is not None:
            start, end = self.quiet
            local = now.astimezone(self.zone).time()
            if (start <= local < end) if start <= end else (local >= start or local < end):
                return False
        oldest = min(datetime.fromisoformat(alert.created_at) for alert in alerts)
        return self.digest is None or now - oldest >= self.digest
