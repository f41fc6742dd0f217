"""Time limit of one URL."""

from __future__ import annotations

import time

from viral.errors import TimedOutError


class Deadline:
    """Deadline in `seconds` from its creation; waiting for the rate limiter extends it."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._end = time.monotonic() + seconds  # monotonic: the wall clock may be set

    def remaining(self) -> float:
        """Seconds until the deadline.

        Raises:
            TimedOutError: the deadline has passed.
        """
        remaining = self._end - time.monotonic()
        if remaining <= 0:
            raise TimedOutError(f"not complete after fetch.seconds = {self.seconds:g}")
        return remaining

    def sleep_extended(self, seconds: float) -> None:
        """Sleep, and extend the deadline by the same time."""
        if seconds > 0:
            time.sleep(seconds)
            self.extend(seconds)

    def extend(self, seconds: float) -> None:
        """Extend the deadline by a wait that the URL does not cause."""
        self._end += seconds
