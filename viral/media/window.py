"""Time range of a video. With a window, a file is read as if it had been cut to that range."""

from __future__ import annotations

import math
from dataclasses import dataclass

from viral.errors import ConfigError


@dataclass(frozen=True)
class ClipWindow:
    """Time range from `start` to `stop` (None: the end), in seconds from the start of the video.

    Raises:
        ConfigError: the range is empty.
    """

    start: float = 0.0
    stop: float | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.start < self.until or not math.isfinite(self.start):
            raise ConfigError(f"{self} is no part of a video: the start must be at least 0 and the stop later")

    @property
    def until(self) -> float:
        """The stop time, or infinity for the end of the video."""
        return math.inf if self.stop is None else self.stop

    def length(self, seconds: float) -> float:
        """Return how many of the `seconds` of a video lie in the window."""
        return max(0.0, min(self.until, seconds) - self.start)

    def overlaps(self, start: float, stop: float) -> bool:
        """Whether the range from `start` to `stop` overlaps the window."""
        return start < self.until and stop > self.start

    def __str__(self) -> str:
        return f"{self.start:g} s to {'the end' if self.stop is None else f'{self.stop:g} s'}"
