"""The time that one address may take."""

from __future__ import annotations

import time

from viral.errors import TimedOutError


class Clock:
    """Counts down from `seconds`; waiting for a turn does not count."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._end = time.monotonic() + seconds

    def left(self) -> float:
        """The seconds left.

        Raises:
            TimedOutError: none are.
        """
        left = self._end - time.monotonic()
        if left <= 0:
            raise TimedOutError(f"not there after fetch.seconds = {self.seconds:g}")
        return left

    def wait_turn(self, seconds: float) -> None:
        """Sleep, and do not count it."""
        if seconds > 0:
            time.sleep(seconds)
            self._end += seconds
