"""Transcripts: the speech of a video, with times."""

from __future__ import annotations

from dataclasses import dataclass

Span = tuple[float, float]
"""Start and end, in seconds from the beginning of the track."""

_WITHOUT_SPACES = frozenset({"zh", "ja", "yue", "th", "lo", "km", "my"})
"""Languages written without spaces between words."""


@dataclass(frozen=True)
class SpeechSegment:
    """Up to 30 s of speech, transcribed in one pass. `confidence` is the geometric mean of the token probabilities."""

    start: float
    end: float
    text: str
    confidence: float


@dataclass(frozen=True)
class Transcript:
    """The speech of a track of length `seconds`: `turns` of voice activity, and transcribed segments.

    `language` is Whisper's code of two or three letters; `language_confidence` is its probability.
    """

    seconds: float
    turns: tuple[Span, ...]
    language: str
    language_confidence: float
    segments: tuple[SpeechSegment, ...]

    @property
    def text(self) -> str:
        """The whole text, in one line."""
        separator = "" if self.language in _WITHOUT_SPACES else " "
        return separator.join(segment.text for segment in self.segments if segment.text)

    @property
    def word_count(self) -> int:
        """Number of words; in a language without spaces, the number of letters and digits."""
        if self.language in _WITHOUT_SPACES:
            return sum(character.isalnum() for character in self.text)
        return len(self.text.split())

    def speech_seconds(self, until: float | None = None) -> float:
        """Return the seconds of speech, up to the time `until` of the track."""
        stop = self.seconds if until is None else until
        return sum(max(0.0, min(end, stop) - start) for start, end in self.turns)

    @property
    def pauses(self) -> list[float]:
        """Seconds between consecutive turns."""
        return [after[0] - before[1] for before, after in zip(self.turns, self.turns[1:], strict=False)]
