"""A time range of a video: the file is read as if it had been cut to it."""

from __future__ import annotations

import math
from dataclasses import dataclass

from viral.errors import ConfigError


@dataclass(frozen=True)
class ClipWindow:
    """Time range from `start` to `stop` (None: the end), in seconds of a video's own clock.

    Raises:
        ConfigError: the range is empty.
    """

    start: float = 0.0
    stop: float | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.start < self.until or not math.isfinite(self.start):
            raise ConfigError(f"{self} is no part of a video: give a start from 0 on and a later stop")

    @property
    def until(self) -> float:
        """The stop time; infinity for the end of the video."""
        return math.inf if self.stop is None else self.stop

    def length(self, seconds: float) -> float:
        """How much of a video of this length lies in the window."""
        return max(0.0, min(self.until, seconds) - self.start)

    def overlaps(self, start: float, stop: float) -> bool:
        """Whether any time from `start` to `stop` lies in the window."""
        return start < self.until and stop > self.start

    def __str__(self) -> str:
        return f"{self.start:g} s to {'the end' if self.stop is None else f'{self.stop:g} s'}"
