"""Frames: scenes of gradients, shapes and caption bars, with a new palette and layout after each cut."""

from __future__ import annotations

import colorsys
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from viral.demo.plan import Clip

Picture = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]
Position = npt.NDArray[np.float64]


@dataclass(frozen=True)
class _Look:
    """Look of all scenes of a clip; it has no effect on views."""

    brightness: float
    colourfulness: float
    speed: float
    shapes: int
    bars: bool

    @classmethod
    def draw(cls, rng: np.random.Generator) -> _Look:
        """Draw a look at random."""
        return cls(
            brightness=rng.uniform(0.45, 1.0),
            colourfulness=rng.uniform(0.25, 1.0),
            speed=rng.uniform(0.02, 0.5),
            shapes=int(rng.integers(2, 6)),
            bars=bool(rng.random() < 0.6),
        )


@dataclass(frozen=True)
class _Shape:
    """A patch of one colour that moves and bounces; position and velocity in pixels (down, right)."""

    mask: Mask
    colour: Picture
    start: Position
    velocity: Position

    def draw(self, picture: Picture, seconds: float) -> None:
        """Paint the shape into a picture (height, width, 3), in place."""
        room = np.array(picture.shape[:2]) - self.mask.shape
        # A triangle wave reflects the motion at the borders.
        folded = (self.start + self.velocity * seconds) % (2 * room)
        top, left = np.minimum(folded, 2 * room - folded).astype(int)
        height, width = self.mask.shape
        picture[top : top + height, left : left + width][self.mask] = self.colour


@dataclass(frozen=True)
class _Scene:
    background: Picture
    drift: Position
    shapes: tuple[_Shape, ...]
    size: tuple[int, int]

    def frame(self, seconds: float) -> Picture:
        """Return the frame at `seconds` after the start of the scene, uint8 (height, width, 3)."""
        room = np.array(self.background.shape[:2]) - self.size
        top, left = (room / 2 + np.clip(self.drift * seconds, -room / 2, room / 2)).astype(int)
        picture = self.background[top : top + self.size[0], left : left + self.size[1]].copy()
        for shape in self.shapes:
            shape.draw(picture, seconds)
        return picture


def frames(clip: Clip, size: tuple[int, int], fps: int) -> Iterator[Picture]:
    """Yield the frames of a clip in order, each uint8 (height, width, 3) RGB."""
    rng = np.random.default_rng([*clip.seed, 2])
    look = _Look.draw(rng)
    hue, dark = rng.random(), bool(rng.random() < 0.5)
    for first, last in zip((0, *clip.cuts), (*clip.cuts, clip.frames), strict=True):
        scene = _scene(rng, look, size, hue, dark=dark)
        for index in range(last - first):
            yield scene.frame(index / fps)
        # Change hue and brightness, so that cuts are visible in dull clips, too.
        hue, dark = (hue + rng.uniform(0.25, 0.75)) % 1, not dark


def _scene(rng: np.random.Generator, look: _Look, size: tuple[int, int], hue: float, *, dark: bool) -> _Scene:
    # A factor of two between scenes: a cut changes the brightness even where all colours are dull.
    value = look.brightness * (0.45 if dark else 0.9)
    colours = [_colour(hue + rng.uniform(-0.05, 0.05), look.colourfulness, value * factor) for factor in (0.8, 1.1)]
    moving = tuple(_shape(rng, look, size, hue, value) for _ in range(look.shapes))
    return _Scene(
        background=_background(rng, size, colours),
        drift=_velocity(rng, look.speed * min(size) * 0.3),
        shapes=moving + (_bars(rng, size) if look.bars else ()),
        size=size,
    )


def _background(rng: np.random.Generator, size: tuple[int, int], colours: list[Picture]) -> Picture:
    """Draw a gradient with soft waves, a third larger than the frame so that it can drift."""
    height, width = (side * 4 // 3 for side in size)
    down, right = np.mgrid[0:height, 0:width].astype(np.float32) / max(size)
    angle = rng.uniform(0, 2 * np.pi)
    along = np.cos(angle) * down + np.sin(angle) * right
    waves = np.sin(2 * np.pi * rng.uniform(1, 6) * (np.sin(angle) * down - np.cos(angle) * right))
    mix = (along - along.min()) / np.ptp(along) * 0.75 + (waves + 1) * 0.125
    blend = colours[0] + mix[..., None] * (colours[1].astype(np.float32) - colours[0])
    return np.asarray(blend, np.uint8)


def _shape(rng: np.random.Generator, look: _Look, size: tuple[int, int], hue: float, value: float) -> _Shape:
    side = int(min(size) * rng.uniform(0.15, 0.4))
    colour = _colour(hue + rng.uniform(0.15, 0.85), look.colourfulness, value * rng.uniform(0.6, 1.3))
    return _Shape(_mask(rng, side), colour, rng.uniform(0, size), _velocity(rng, look.speed * max(size)))


def _mask(rng: np.random.Generator, side: int) -> Mask:
    down, right = np.mgrid[-1 : 1 : side * 1j, -1 : 1 : side * 1j]
    # A disc, a diamond, a square, a ring.
    kinds: tuple[Mask, ...] = (
        down**2 + right**2 <= 1,
        np.abs(down) + np.abs(right) <= 1,
        np.ones((side, side), np.bool_),
        (down**2 + right**2 <= 1) & (down**2 + right**2 >= 0.4),
    )
    return kinds[int(rng.integers(len(kinds)))]


def _bars(rng: np.random.Generator, size: tuple[int, int]) -> tuple[_Shape, ...]:
    """Draw a white bar with dark blocks, which looks like a burnt-in caption from afar."""
    height, width = size
    tall, wide = height // 14, int(width * rng.uniform(0.5, 0.85))
    corner = np.array([height * rng.choice((0.12, 0.7)), (width - wide) / 2])
    blocks = np.zeros((tall, wide), np.bool_)
    inner = blocks[tall // 4 : -(tall // 4) or None, tall // 2 : -(tall // 2) or None]
    inner[:, rng.random(inner.shape[1] // 4 + 1).repeat(4)[: inner.shape[1]] < 0.7] = True
    still = np.zeros(2)
    return (
        _Shape(np.ones_like(blocks), np.array([245, 245, 245], np.uint8), corner, still),
        _Shape(blocks, np.array([20, 20, 20], np.uint8), corner, still),
    )


def _velocity(rng: np.random.Generator, speed: float) -> Position:
    angle = rng.uniform(0, 2 * np.pi)
    return speed * np.array([np.sin(angle), np.cos(angle)])


def _colour(hue: float, saturation: float, value: float) -> Picture:
    return np.array([round(255 * c) for c in colorsys.hsv_to_rgb(hue % 1, saturation, min(1.0, value))], np.uint8)
