"""What an extractor may ask of a video. A sampling plan is a set of these, answered in one decode pass.

All times are seconds of presentation; sampling is by time, never by index / fps, since frame rates vary.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Choice = Literal["uniform", "key"]
"""Where frames may be taken: `uniform` at evenly spaced times (costs a decode up to the last of them), `key` at key
frames spread as evenly as there are (costs next to nothing; fewer than `count` where the file has fewer)."""

Fit = Literal["crop", "stretch", "inside"]
"""How a frame becomes `size` = (height, width): `crop` scales the short side and cuts the centre, `stretch` ignores the
aspect ratio, `inside` keeps the aspect ratio with the short side equal to min(size)."""


@dataclass(frozen=True)
class Frames:
    """Single frames: `count` of them spread over the span, or one every `every` seconds. Exactly one of the two.

    The span is `start` to `stop` seconds (None: the end). Evenly spaced means the centres of `count` equal parts.
    """

    size: tuple[int, int]
    count: int | None = None
    every: float | None = None
    start: float = 0.0
    stop: float | None = None
    choice: Choice = "uniform"
    fit: Fit = "crop"

    def __post_init__(self) -> None:
        if (self.count is None) == (self.every is None):
            raise ValueError("Frames takes exactly one of count and every")


@dataclass(frozen=True)
class Clips:
    """`count` clips of `frames` frames, `step` seconds apart within a clip, spread over the video.

    With `choice="key"` each clip begins at the key frame nearest to where one of `count` equal parts begins, the first
    at the opening, so that only the clips are decoded. With `choice="random"` each begins up to its own length behind a
    key frame drawn by `seed`: no more is decoded than twice the clips, and no two epochs see the same ones. A clip that
    would run past the end repeats its last frame.
    """

    count: int
    frames: int
    step: float
    size: tuple[int, int]
    choice: Choice | Literal["random"] = "key"
    fit: Fit = "crop"
    seed: int | None = None

    def __post_init__(self) -> None:
        if (self.choice == "random") != (self.seed is not None):
            raise ValueError("Clips takes a seed where they are chosen at random, and nowhere else")


@dataclass(frozen=True)
class AudioTrack:
    """The whole sound track, mono, at `rate` samples a second."""

    rate: int = 16000


@dataclass(frozen=True)
class Packets:
    """The coded picture track: times, sizes and key flags of all packets, read without decoding."""


Request = Frames | Clips | AudioTrack | Packets


def hook(*, seconds: float = 3.0, every: float, size: tuple[int, int], fit: Fit = "inside") -> Frames:
    """The opening of the video: a frame every `every` seconds of its first `seconds`."""
    return Frames(size=size, every=every, stop=seconds, fit=fit)
