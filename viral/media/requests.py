"""Requests that extractors send to the decoder. A sampling plan answers a set of them in one decode pass.

All times are presentation times in seconds. Frames are sampled by time, not by index / fps, since frame rates vary.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Choice = Literal["uniform", "key"]
"""Which frames are taken: `uniform` takes those at evenly spaced times, which needs a decode up to the last one; `key`
takes the key frames nearest to those times, which is cheap, but gives fewer than `count` if the file has fewer."""

Fit = Literal["crop", "stretch", "inside"]
"""How a frame is fitted to `size` = (height, width): `crop` scales it to cover `size` and cuts out the centre,
`stretch` ignores the aspect ratio, `inside` keeps it and makes the short side min(size)."""


@dataclass(frozen=True)
class Frames:
    """Single frames from `start` to `stop` seconds (None: the end of the video).

    Either one frame every `every` seconds, or `count` frames, at the centres of `count` equal parts of that span.
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

    With `choice="key"`, each clip starts at the key frame nearest to the start of one of `count` equal parts of the
    video, so only the clips are decoded. With `choice="random"`, each clip starts within one clip length after a key
    frame drawn with `seed`, so at most twice the length of the clips is decoded. A clip that runs past the end of the
    video repeats the last frame.
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
            raise ValueError("Clips takes a seed if, and only if, choice is 'random'")


@dataclass(frozen=True)
class AudioTrack:
    """The whole audio track, mono, at `rate` samples per second."""

    rate: int = 16000


@dataclass(frozen=True)
class Packets:
    """The coded video track: times, sizes and key flags of all packets, read without decoding."""


Request = Frames | Clips | AudioTrack | Packets


def hook(*, seconds: float = 3.0, every: float, size: tuple[int, int], fit: Fit = "inside") -> Frames:
    """Request a frame every `every` seconds from the first `seconds` of the video."""
    return Frames(size=size, every=every, stop=seconds, fit=fit)
