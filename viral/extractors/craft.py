"""Editing features: cuts, motion, light and colour, of the whole video and its opening."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from viral.duplicates.perceptual_hash import KEY_FRAMES, OPENING
from viral.extractors.cuts import confirm_cuts, differences, packet_cuts, picture_cuts
from viral.extractors.extractor import OPENING_SECONDS, PostInput, Vector
from viral.extractors.spec import Encode, ExtractorSpec, Resolver
from viral.media.media import FrameBatch, Media
from viral.media.requests import Frames, Packets, Request, hook

# Without `dense`, the frames are those of the perceptual hash, so that it costs no decoding: the opening every 0.2 s,
# where on 43 real TikToks as many cuts are found as every 0.125 s, and eight key frames, those of the image networks.
_DENSE_EVERY = 0.125  # seconds; at 0.2 the dense mode misses cuts
_MIN_SECONDS = 0.125  # avoids a division by zero for a single frame
_SIZE = (112, 112)  # statistics of light and change need no detail
_MIN_BITS = 1e-4  # so that the logarithm is finite

_LIGHT = ("brightness", "contrast", "colourfulness", "saturation")
_APPEARANCE = tuple(f"{name}_{statistic}" for statistic in ("mean", "std") for name in _LIGHT)
CRAFT_COLUMNS = (
    "cuts_per_second",
    "log_shot_seconds",
    "log_bits_per_pixel",
    "bits_variation",
    "motion",
    *_APPEARANCE,
    "opening_cuts_per_second",
    "opening_first_cut",
    "opening_motion",
    "opening_motion_max",
    *(f"opening_{name}" for name in _APPEARANCE),
    "opening_brightness_difference",
    "opening_colourfulness_difference",
)
"""The columns of the vector. Brightness and contrast (mean and standard deviation of luma), saturation, and motion
(change of a pixel within 0.2 s, with `dense` 0.125 s) are fractions of full scale; colourfulness is that of Hasler and
Süsstrunk; `log_bits_per_pixel` is the decimal logarithm for predicted frames and rises with motion; `opening_first_cut`
is in seconds, 3 without a cut; a `_difference` is the mean of the opening minus that of the video."""


@dataclass(frozen=True, kw_only=True)
class Craft(ExtractorSpec):
    """Editing features of a video, as `CRAFT_COLUMNS`.

    By default only the opening is decoded fully; key frames and packet sizes stand for the rest at a fraction of the
    cost, and `motion` is that of the opening. `dense` decodes the whole video and samples it at 8 fps: choose it if
    cuts matter more than time. A video that may be HDR without saying so has none: its brightness is uncertain.

    In a photo set each change of slide is a cut, and there are no predicted frames: `log_bits_per_pixel` has its lowest
    value, -4.
    """

    dense: bool = False

    name: ClassVar[str] = "craft"
    modality: ClassVar[str] = "editing"
    dim: ClassVar[int] = len(CRAFT_COLUMNS)
    columns: ClassVar[tuple[str, ...]] = CRAFT_COLUMNS
    revision: ClassVar[str] = "2"

    @property
    def opening_frames(self) -> Frames:
        """The frames of the first 3 s, 5 per second; 8 per second if `dense`."""
        return hook(seconds=OPENING_SECONDS, every=_DENSE_EVERY, size=_SIZE) if self.dense else OPENING

    @property
    def video_frames(self) -> Frames:
        """The eight key frames that the image networks use too; if `dense`, frames of the whole video, 8 per second."""
        return Frames(every=_DENSE_EVERY, size=_SIZE, fit="inside") if self.dense else KEY_FRAMES

    @property
    def needs(self) -> tuple[Request, ...]:
        """The opening, the whole video, the packets."""
        return (self.opening_frames, self.video_frames, Packets())

    def load(self, device: str, resolve: Resolver) -> Encode:
        """Return the encoder; there is nothing to load."""
        return self._encode

    def _encode(self, post: PostInput) -> Vector | None:
        media = post.media
        opening = media.frames(self.opening_frames) if media else None
        video = media.frames(self.video_frames) if media else None
        if media is None or opening is None or video is None or not len(opening.data) or not len(video.data):
            return None
        if media.facts.uncertain_light:  # no value of brightness would be comparable with that of other videos
            return None
        of_opening, of_video = _appearance(opening.data), _appearance(video.data)
        difference = [of_opening[i] - of_video[i] for i in (0, 2)]  # of brightness and colourfulness
        pace, opening_pace = self._pace(media, opening, video), _opening_pace(media, opening)
        return np.array([*pace, *of_video, *opening_pace, *of_opening, *difference], dtype=np.float32)

    def _pace(self, media: Media, opening: FrameBatch, video: FrameBatch) -> list[float]:
        seconds = _seconds(media, video)
        cuts = len(_cuts(media, video) if self.dense else _cheap_cuts(media, opening, video))
        motion = differences((video if self.dense else opening).data) / 255
        return [cuts / seconds, np.log1p(seconds / (cuts + 1)), *_bits(media), _mean(motion)]


def _cuts(media: Media, batch: FrameBatch) -> npt.NDArray[np.float64]:
    """Times of the cuts in densely sampled frames; in a photo set, of the changes of slides."""
    changes = _slide_changes(media)
    return picture_cuts(batch) if changes is None else changes[changes <= batch.pts_seconds[-1]]


def _slide_changes(media: Media) -> npt.NDArray[np.float64] | None:
    packets = media.packets(Packets())
    return packets.pts_seconds[1:] if packets and media.facts.slides else None


def _cheap_cuts(media: Media, opening: FrameBatch, video: FrameBatch) -> npt.NDArray[np.float64]:
    if (changes := _slide_changes(media)) is not None:
        return changes
    opening_cuts = picture_cuts(opening)
    packets = media.packets(Packets())
    if packets is None:
        return opening_cuts
    candidates = packet_cuts(packets)
    # In the opening, frames tell more than packets.
    later = candidates[candidates >= OPENING_SECONDS]
    # A key frame in the opening may come from both requests.
    times, first = np.unique(np.concatenate([opening.pts_seconds, video.pts_seconds]), return_index=True)
    frames = FrameBatch(np.concatenate([opening.data, video.data])[first], times)
    return np.concatenate([opening_cuts, confirm_cuts(later, frames)])


def _opening_pace(media: Media, opening: FrameBatch) -> list[float]:
    cuts, motion = _cuts(media, opening), differences(opening.data) / 255
    seconds = min(OPENING_SECONDS, _seconds(media, opening))
    first = float(cuts[0]) if len(cuts) else OPENING_SECONDS
    return [len(cuts) / seconds, first, _mean(motion), float(motion.max(initial=0.0))]


def _bits(media: Media) -> list[float]:
    """Return log10 of the mean bits per pixel of predicted frames, and standard deviation / mean of these bits."""
    packets = media.packets(Packets())
    # Key frames hold a whole picture: only the others grow with motion.
    sizes = packets.sizes[~packets.key] if packets else np.zeros(0, np.int64)
    pixels = (media.facts.width or 0) * (media.facts.height or 0)
    if not len(sizes) or not pixels:
        return [float(np.log10(_MIN_BITS)), 0.0]
    bits = 8 * sizes / pixels
    return [float(np.log10(max(bits.mean(), _MIN_BITS))), float(bits.std() / max(bits.mean(), _MIN_BITS))]


def _appearance(frames: npt.NDArray[np.uint8]) -> list[float]:
    rows = np.array([_light(frame) for frame in frames])
    return [*rows.mean(0), *rows.std(0)]


def _light(frame: npt.NDArray[np.uint8]) -> list[float]:
    # A quarter of the pixels has the same statistics; all pixels would cost half as much as decoding.
    pixels = frame[::2, ::2].reshape(-1, 3).astype(np.float32) / np.float32(255)
    luma = pixels @ np.array([0.299, 0.587, 0.114], dtype=np.float32)  # of ITU-R BT.601
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
