"""What a synthetic corpus shall be."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from viral.errors import ConfigError

OPENING_SECONDS = 3.0
"""The part of a clip whose loudness counts."""

_LEAST_FPS = 10
_LEAST_SIDE = 64


@dataclass(frozen=True)
class Effects:
    """By how much log views rise when a trait rises by one standard deviation."""

    author: float = 0.7
    cut_rate: float = 0.7
    opening_loudness: float = 0.7
    mishap: float = 0.7


@dataclass(frozen=True)
class CorpusSpec:
    """What a synthetic corpus shall be: the same spec always gives the same corpus.

    `seconds` is the shortest and the longest duration, `size` (height, width) in pixels, `noise` the standard deviation
    of what no trait explains in log views. With the effects' and the noise's defaults content explains 60 %, the author
    20 % and noise 20 % of the variance of log views.

    Raises:
        ConfigError: a value that no corpus can have.
    """

    posts: int = 400
    authors: int = 80
    seconds: tuple[float, float] = (5.0, 9.0)
    size: tuple[int, int] = (320, 180)
    fps: int = 15
    seed: int = 0
    noise: float = 0.7
    effects: Effects = field(default_factory=Effects)

    def __post_init__(self) -> None:
        # The values as they will be read back from JSON, so that two equal specs are equal whatever was passed.
        object.__setattr__(self, "seconds", (float(self.seconds[0]), float(self.seconds[1])))
        object.__setattr__(self, "size", (int(self.size[0]), int(self.size[1])))
        for wrong, message in self._checks():
            if wrong:
                raise ConfigError(message)

    def _checks(self) -> list[tuple[bool, str]]:
        shortest, longest = self.seconds
        height, width = self.size
        return [
            (self.authors < 1, f"a corpus needs at least one author, not {self.authors}"),
            (
                self.posts < self.authors,
                f"{self.posts} posts cannot be by {self.authors} authors: ask for at least one post an author",
            ),
            (
                not OPENING_SECONDS < shortest <= longest,
                f"seconds is (shortest, longest), both above {OPENING_SECONDS:g}, not {self.seconds}",
            ),
            (
                min(self.size) < _LEAST_SIDE or height % 2 == 1 or width % 2 == 1,
                f"size is (height, width), both even and at least {_LEAST_SIDE}, not {self.size}",
            ),
            (self.fps < _LEAST_FPS, f"fps must be at least {_LEAST_FPS}, or cuts fall together; not {self.fps}"),
            (self.seed < 0, f"the seed must not be negative: {self.seed}"),
            (self.noise < 0, f"the noise is a standard deviation, so not negative: {self.noise}"),
        ]

    def as_dict(self) -> dict[str, Any]:
        """The spec as JSON would read it back."""
        values = asdict(self)
        return values | {"seconds": list(self.seconds), "size": list(self.size)}
