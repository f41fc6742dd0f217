"""What was said in a video, and when."""

from __future__ import annotations

from dataclasses import dataclass

Span = tuple[float, float]
"""Seconds from the beginning of the track: where something starts, and where it ends."""

_WITHOUT_SPACES = frozenset({"zh", "ja", "yue", "th", "lo", "km", "my"})
"""Languages that are written without spaces between words."""


@dataclass(frozen=True)
class Segment:
    """Up to 30 s of speech as it was decoded at once; `confidence` is the geometric mean of its tokens' probability."""

    start: float
    end: float
    text: str
    confidence: float


@dataclass(frozen=True)
class Transcript:
    """The speech of a track of `seconds`: the `turns` in which someone speaks, and what is said.

    `language` is Whisper's code of two or three letters, with its probability.
    """

    seconds: float
    turns: tuple[Span, ...]
    language: str
    language_confidence: float
    segments: tuple[Segment, ...]

    @property
    def text(self) -> str:
        """All that is said, in one line."""
        joined = "" if self.language in _WITHOUT_SPACES else " "
        return joined.join(segment.text for segment in self.segments if segment.text)

    @property
    def words(self) -> int:
        """How many words there are; in a language without spaces every letter or digit counts as one."""
        if self.language in _WITHOUT_SPACES:
            return sum(character.isalnum() for character in self.text)
        return len(self.text.split())

    def spoken(self, until: float | None = None) -> float:
        """Seconds of speech, up to that time of the track."""
        stop = self.seconds if until is None else until
        return sum(max(0.0, min(end, stop) - start) for start, end in self.turns)

    @property
    def pauses(self) -> list[float]:
        """Seconds between one turn and the next."""
        return [after[0] - before[1] for before, after in zip(self.turns, self.turns[1:], strict=False)]
