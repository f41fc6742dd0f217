"""Editing features: cuts, motion, light and colour, of the whole video and its opening."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from viral.extractors.cuts import confirm_cuts, differences, packet_cuts, picture_cuts
from viral.extractors.extractor import OPENING_SECONDS, PostInput, Vector
from viral.extractors.spec import Encode, ExtractorSpec, Resolver
from viral.media.media import FrameBatch, Media
from viral.media.requests import Frames, Packets, Request, hook

_EVERY = 0.2  # on 43 real TikToks the cheap mode finds as many cuts as at 0.125
_DENSE_EVERY = 0.125  # at 0.2 the dense mode misses cuts
_MIN_SECONDS = 0.125  # avoids a division by zero for a single frame
_SIZE = (112, 112)  # statistics of light and change need no detail
_MIN_BITS = 1e-4  # so that the logarithm is finite

_LOOK = tuple(
    f"{name}_{pooled}"
    for pooled in ("mean", "std")
    for name in ("brightness", "contrast", "colourfulness", "saturation")
)
CRAFT_COLUMNS = (
    "cuts_per_second",
    "log_shot_seconds",
    "log_bits_per_pixel",
    "bits_variation",
    "motion",
    *_LOOK,
    "opening_cuts_per_second",
    "opening_first_cut",
    "opening_motion",
    "opening_motion_max",
    *(f"opening_{name}" for name in _LOOK),
    "opening_brightness_difference",
    "opening_colourfulness_difference",
)
"""The columns of the vector. Brightness and contrast (mean and standard deviation of luma), saturation, and motion
(change of a pixel within 0.2 s, with `dense` 0.125 s) are fractions of full scale; colourfulness is that of Hasler and
Süsstrunk; `log_bits_per_pixel` is the decimal logarithm for predicted frames and rises with motion; `opening_first_cut`
is in seconds, 3 without a cut; a difference is the opening's mean minus the whole video's."""


@dataclass(frozen=True, kw_only=True)
class Craft(ExtractorSpec):
    """Editing features of a video, as `CRAFT_COLUMNS`.

    Only the opening is decoded; the rest is estimated from key frames and packet sizes, at a small part of the cost,
    and `motion` is that of the opening. With `dense` the whole video is decoded and sampled at 8 fps, at the cost of a
    full decode: choose it if cuts matter more than time.
    """

    dense: bool = False

    name: ClassVar[str] = "craft"
    modality: ClassVar[str] = "editing"
    dim: ClassVar[int] = len(CRAFT_COLUMNS)
    columns: ClassVar[tuple[str, ...]] = CRAFT_COLUMNS
    revision: ClassVar[str] = "2"

    @property
    def opening(self) -> Frames:
        """The frames of the first 3 s at 5 fps, with `dense` at 8 fps."""
        return hook(seconds=OPENING_SECONDS, every=_DENSE_EVERY if self.dense else _EVERY, size=_SIZE)

    @property
    def whole(self) -> Frames:
        """Eight key frames, shared with the image networks; with `dense`, the whole video at 8 fps."""
        if self.dense:
            return Frames(every=_DENSE_EVERY, size=_SIZE, fit="inside")
        return Frames(count=8, size=_SIZE, choice="key", fit="inside")

    @property
    def needs(self) -> tuple[Request, ...]:
        """The opening, the whole video, the packets."""
        return (self.opening, self.whole, Packets())

    def load(self, device: str, resolve: Resolver) -> Encode:
        """Return the encoder; there is nothing to load."""
        return self._encode

    def _encode(self, post: PostInput) -> Vector | None:
        media = post.media
        opening = media.frames(self.opening) if media else None
        whole = media.frames(self.whole) if media else None
        if media is None or opening is None or whole is None or not len(opening.data) or not len(whole.data):
            return None
        opening_look, whole_look = _look(opening.data), _look(whole.data)
        values = [
            *self._pace(media, opening, whole),
            *whole_look,
            *_opening_pace(media, opening),
            *opening_look,
            opening_look[0] - whole_look[0],
            opening_look[2] - whole_look[2],
        ]
        return np.array(values, dtype=np.float32)

    def _pace(self, media: Media, opening: FrameBatch, whole: FrameBatch) -> list[float]:
        seconds = _seconds(media, whole)
        cuts = len(picture_cuts(whole) if self.dense else _cheap_cuts(media, opening, whole))
        motion = differences((whole if self.dense else opening).data) / 255
        return [cuts / seconds, np.log1p(seconds / (cuts + 1)), *_bits(media), _mean(motion)]


def _cheap_cuts(media: Media, opening: FrameBatch, whole: FrameBatch) -> npt.NDArray[np.float64]:
    opening_cuts = picture_cuts(opening)
    packets = media.packets(Packets())
    if packets is None:
        return opening_cuts
    candidates = packet_cuts(packets)
    return np.concatenate(
        [opening_cuts, confirm_cuts(candidates[candidates >= OPENING_SECONDS], _joined(opening, whole))]
    )


def _joined(opening: FrameBatch, whole: FrameBatch) -> FrameBatch:
    times, first = np.unique(np.concatenate([opening.pts_seconds, whole.pts_seconds]), return_index=True)
    return FrameBatch(np.concatenate([opening.data, whole.data])[first], times)


def _opening_pace(media: Media, opening: FrameBatch) -> list[float]:
    cuts, motion = picture_cuts(opening), differences(opening.data) / 255
    seconds = min(OPENING_SECONDS, _seconds(media, opening))
    first = float(cuts[0]) if len(cuts) else OPENING_SECONDS
    return [len(cuts) / seconds, first, _mean(motion), float(motion.max(initial=0.0))]


def _bits(media: Media) -> list[float]:
    """Decimal logarithm of the bits per pixel of predicted frames, and their coefficient of variation."""
    packets = media.packets(Packets())
    sizes = packets.sizes[~packets.key] if packets else np.zeros(0, np.int64)
    pixels = (media.facts.width or 0) * (media.facts.height or 0)
    if not len(sizes) or not pixels:
        return [float(np.log10(_MIN_BITS)), 0.0]
    bits = 8 * sizes / pixels
    return [float(np.log10(max(bits.mean(), _MIN_BITS))), float(bits.std() / max(bits.mean(), _MIN_BITS))]


def _look(frames: npt.NDArray[np.uint8]) -> list[float]:
    looks = np.array([_frame_look(frame) for frame in frames])
    return [*looks.mean(0), *looks.std(0)]


def _frame_look(frame: npt.NDArray[np.uint8]) -> list[float]:
    # Every fourth pixel: same statistics, and all pixels would cost half as much as decoding.
    pixels = frame[::2, ::2].reshape(-1, 3).astype(np.float32) / np.float32(255)
    # Luma of ITU-R BT.601.
    luma = pixels @ np.array([0.299, 0.587, 0.114], dtype=np.float32)
    highest, lowest = pixels.max(1), pixels.min(1)
    saturation = (highest - lowest) / np.maximum(highest, 1e-6)
    return [float(luma.mean()), float(luma.std()), colourfulness(pixels), float(saturation.mean())]


def colourfulness(pixels: npt.NDArray[np.float32]) -> float:
    """Colourfulness of pixels (N, 3) in [0, 1]: 0 for grey, about 0.4 for very colourful images.

    Source: Hasler and Süsstrunk 2003, Measuring colourfulness in natural images (their M3, divided by 255).
    """
    red, green, blue = pixels.T
    red_green, yellow_blue = red - green, (red + green) / 2 - blue
    spread = np.hypot(red_green.std(), yellow_blue.std())
    return float(spread + 0.3 * np.hypot(red_green.mean(), yellow_blue.mean()))


def _mean(values: npt.NDArray[np.float64]) -> float:
    return float(values.mean()) if len(values) else 0.0


def _seconds(media: Media, batch: FrameBatch) -> float:
    seconds = media.facts.seen_seconds or media.facts.declared_seconds
    return max(seconds or float(batch.pts_seconds[-1]), _MIN_SECONDS)
