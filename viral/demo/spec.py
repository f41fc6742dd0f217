"""The specification of a synthetic corpus."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from viral.errors import ConfigError

OPENING_SECONDS = 3.0
"""Length of the opening, the part of a clip whose loudness has an effect."""

_MIN_FPS = 10  # at the highest cut rate, lower frame rates would put cuts on neighbouring frames
_MIN_SIDE = 64  # pixels: smaller frames have no room for shapes and caption bars


@dataclass(frozen=True)
class Effects:
    """Increase of log views per standard deviation of each trait."""

    author: float = 0.7
    cut_rate: float = 0.7
    opening_loudness: float = 0.7
    mishap: float = 0.7


@dataclass(frozen=True)
class CorpusSpec:
    """Specification of a synthetic corpus; equal specs give identical corpora.

    `seconds` is the shortest and longest duration, `size` is (height, width) in pixels, `noise` is the standard
    deviation of the part of log views that no trait explains. By default, content explains 60 %, the author 20 % and
    noise 20 % of the variance of log views.

    Raises:
        ConfigError: a value is out of range.
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
        # Equal specs must compare equal, also if one was passed lists or integers.
        object.__setattr__(self, "seconds", (float(self.seconds[0]), float(self.seconds[1])))
        object.__setattr__(self, "size", (int(self.size[0]), int(self.size[1])))
        for invalid, message in self._checks():
            if invalid:
                raise ConfigError(message)

    def _checks(self) -> list[tuple[bool, str]]:
        shortest, longest = self.seconds
        height, width = self.size
        return [
            (self.authors < 1, f"a corpus needs at least one author, not {self.authors}"),
            (
                self.posts < self.authors,
                f"{self.posts} posts cannot be by {self.authors} authors: ask for at least one post per author",
            ),
            (
                not OPENING_SECONDS < shortest <= longest,
                f"seconds is (shortest, longest), both above {OPENING_SECONDS:g}, not {self.seconds}",
            ),
            (
                min(self.size) < _MIN_SIDE or height % 2 == 1 or width % 2 == 1,
                f"size is (height, width), both even and at least {_MIN_SIDE}, not {self.size}",
            ),
            (self.fps < _MIN_FPS, f"fps must be at least {_MIN_FPS}, or cuts fall together; not {self.fps}"),
            (self.seed < 0, f"the seed must not be negative: {self.seed}"),
            (self.noise < 0, f"the noise is a standard deviation, so not negative: {self.noise}"),
        ]

    def as_dict(self) -> dict[str, Any]:
        """Convert to a dict of the types that JSON restores."""
        values = asdict(self)
        return values | {"seconds": list(self.seconds), "size": list(self.size)}
