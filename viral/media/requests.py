"""Requests of extractors to the decoder. A sampling plan is a set of them, answered in one decode pass.

All times are presentation times in seconds. Sampling is by time, never by index / fps, since frame rates vary.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Choice = Literal["uniform", "key"]
"""Where frames are taken: `uniform` at evenly spaced times (costs a decode up to the last of them), `key` at the key
frames nearest to such times (costs next to nothing; fewer than `count` where the file has fewer)."""

Fit = Literal["crop", "stretch", "inside"]
"""How a frame is fitted to `size` = (height, width): `crop` scales the short side and cuts the centre, `stretch`
ignores the aspect ratio, `inside` keeps the aspect ratio with the short side equal to min(size)."""


@dataclass(frozen=True)
class Frames:
    """Single frames: either `count` of them, spread over the span, or one every `every` seconds.

    The span is `start` to `stop` seconds (None: the end). `count` frames are at the centres of as many equal parts.
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

    With `choice="key"` each clip starts at the key frame nearest to the start of one of `count` equal parts, so only
    the clips are decoded. With `choice="random"` each starts up to its own length behind a key frame drawn by `seed`:
    at most twice the clips is decoded, and each epoch sees other clips. A clip that would run past the end repeats its
    last frame.
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
            raise ValueError("Clips takes a seed with choice='random', and only then")


@dataclass(frozen=True)
class AudioTrack:
    """The whole audio track, mono, at `rate` samples per second."""

    rate: int = 16000


@dataclass(frozen=True)
class Packets:
    """The coded video track: times, sizes and key flags of all packets, read without decoding."""


Request = Frames | Clips | AudioTrack | Packets


def hook(*, seconds: float = 3.0, every: float, size: tuple[int, int], fit: Fit = "inside") -> Frames:
    """Request the opening of the video: a frame every `every` seconds of its first `seconds`."""
    return Frames(size=size, every=every, stop=seconds, fit=fit)
