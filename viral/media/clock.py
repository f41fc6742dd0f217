"""The clock of a file: when its packets are shown, how long it is, and whether it ends early."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from viral.errors import TooLongError
from viral.media.container import start_of
from viral.media.window import ClipWindow

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.packet import Packet
    from av.stream import Stream

Span = tuple[float, float]
"""Start and end in seconds."""
STRAY: Span = (-1.0, -1.0)
"""Span of a packet whose time is an error."""

# A file that ends this much early is not truncated: containers round times, and tracks differ by a frame or two.
TRUNCATED_SECONDS = 0.5
TRUNCATED_FRACTION = 0.05

# A packet that comes this long after the one before it, and after the end of the file, has a wrong time; the next
# frame of a slow slide show comes sooner. A few of them are errors, more are a longer file than its header says.
STRAY_SECONDS = 10.0
MAX_STRAYS = 5


class Clock:
    """Follows the times of a file's packets, in seconds from its start.

    Args:
        container: the file.
        main: the streams that are used; others are only followed.
        max_seconds: limit on the length of the main streams.
    """

    def __init__(self, container: InputContainer, main: Sequence[Stream], max_seconds: float) -> None:
        self.container, self.max_seconds, self.origin = container, max_seconds, start_of(container)
        self.main = {stream.index: stream for stream in main}
        self.time_bases = [float(stream.time_base or 0) for stream in container.streams]
        self.strays = 0
        self._ends: dict[int, float] = {}

    def span(self, packet: Packet[Stream]) -> Span | None:
        """Return when a packet is shown: None if it has no time, `STRAY` if that is an error.

        Raises:
            TooLongError: the file is longer than the limit.
        """
        # Some containers store only decode times, which come close.
        pts = packet.pts if packet.pts is not None else packet.dts
        if pts is None or packet.stream_index >= len(self.time_bases):  # a stream may begin in the middle of a file
            return None
        time_base = self.time_bases[packet.stream_index]
        start, end = pts * time_base - self.origin, (pts + self.duration(packet)) * time_base - self.origin
        last = self._ends.get(packet.stream_index, 0.0)
        # Other streams, subtitles for example, are never too long; their end is needed to tell whether the file is cut.
        if packet.stream_index not in self.main:
            self._ends[packet.stream_index] = max(last, end)
            return start, end
        # A jump is an error only beyond the end that the header gives: before it, a track may have a gap.
        if start - last > STRAY_SECONDS and start > min(self.max_seconds, self._header_seconds() + STRAY_SECONDS):
            self.strays += 1
            if self.strays <= MAX_STRAYS:
                return STRAY
        if end > self.max_seconds:
            raise TooLongError(f"the file is longer than media.max_seconds = {self.max_seconds:g}")
        self._ends[packet.stream_index] = max(last, end)
        return start, end

    def duration(self, packet: Packet[Stream]) -> int:
        """Return the duration of a packet in its time base; 0 if it is unknown, or longer than any file may be."""
        duration = packet.duration or 0
        return duration if duration * self.time_bases[packet.stream_index] <= self.max_seconds else 0

    @property
    def end(self) -> float:
        """End of the last packet of the main streams."""
        return max((self._ends.get(index, 0.0) for index in self.main), default=0.0)

    def is_truncated(self, window: ClipWindow | None = None) -> bool:
        """Whether the main streams end before the header says.

        A header gives the length of the longest stream, which may be another one, counted from time 0 of the file.
        """
        # With strays, the length in the header may be the time of one of them.
        declared = declared_seconds(self.container, None)
        if declared is None or self.strays:
            return False
        if window:
            declared = min(declared, window.until)
        declared -= max(0.0, self.origin)
        if not is_truncated(declared, self.end):
            return False
        lengths = {index: self._declared_end(stream) for index, stream in self.main.items()}
        # Matroska stores one length for the whole file: then it is enough that any stream reaches it.
        if None in lengths.values():
            return is_truncated(declared, max(self._ends.values(), default=0.0))
        return any(is_truncated(length, self._ends.get(index, 0.0)) for index, length in lengths.items())

    def _header_seconds(self) -> float:
        return declared_seconds(self.container, None) or float("inf")

    def _declared_end(self, stream: Stream) -> float | None:
        """End of a stream as its header says, if it does."""
        if not stream.duration or stream.duration <= 0:
            return None
        return float(((stream.start_time or 0) + stream.duration) * (stream.time_base or 0)) - self.origin


def declared_seconds(container: InputContainer, window: ClipWindow | None) -> float | None:
    """Return the duration in the header, trimmed to the window, or None if the header has none."""
    if not container.duration or container.duration <= 0:
        return None
    seconds = container.duration / 1e6
    return (window.length(seconds) or None) if window else seconds


def is_truncated(declared: float | None, seen: float) -> bool:
    """Whether a file ends early by more than half a second and more than 5 % of its declared duration."""
    return declared is not None and declared - seen > max(TRUNCATED_SECONDS, TRUNCATED_FRACTION * declared)
