"""A stretch of a video: the file is read as if it had been cut to it."""

from __future__ import annotations

import math
from dataclasses import dataclass

from viral.errors import ConfigError


@dataclass(frozen=True)
class Window:
    """From `start` up to `stop` seconds (None: the end) of a video, by its own clock.

    Raises:
        ConfigError: it has no length.
    """

    start: float = 0.0
    stop: float | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.start < self.until or not math.isfinite(self.start):
            raise ConfigError(f"{self} is no part of a video: give a start from 0 on and a later stop")

    @property
    def until(self) -> float:
        """Where it stops; infinity for the end."""
        return math.inf if self.stop is None else self.stop

    def length(self, seconds: float) -> float:
        """How much it leaves of a video that lasts so long."""
        return max(0.0, min(self.until, seconds) - self.start)

    def touches(self, start: float, stop: float) -> bool:
        """Whether anything from `start` up to `stop` lies in it."""
        return start < self.until and stop > self.start

    def __str__(self) -> str:
        return f"{self.start:g} s to {'the end' if self.stop is None else f'{self.stop:g} s'}"
