"""Colour of a video: its transfer function, and the conversion of HDR frames to SDR."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from av.sidedata.sidedata import SideData
    from av.video.codeccontext import VideoCodecContext
    from av.video.frame import VideoFrame

Floats = npt.NDArray[np.float32]

PQ, HLG = "smpte2084", "arib-std-b67"
_UNSPECIFIED, _BT2020_PRIMARIES, _BT2020_MATRICES = 2, 9, (9, 10)  # ISO/IEC 23091-2
# Metadata that only HDR videos carry, by its names in ffmpeg.
_HDR_SIDE_DATA = ("MASTERING_DISPLAY_METADATA", "CONTENT_LIGHT_LEVEL", "DOVI_METADATA", "DYNAMIC_HDR_PLUS")

# ITU-R BT.2408: HDR shows a white page with 203 cd/m², which SDR shows as full white. Brighter light is clipped, as in
# SDR, so that the rest is as bright as in an SDR copy of the video.
REFERENCE_WHITE = 203.0
SWSCALE_WHITE = 255 << 8  # what swscale makes of white in 16 bits; up to 0.4 % more from a video of full range
HLG_PEAK, HLG_GAMMA = 1000.0, 1.2  # nominal display of ITU-R BT.2100
SDR_GAMMA = 2.4  # ITU-R BT.1886
_LUMINANCE = np.array([0.2627, 0.6780, 0.0593], np.float32)  # ITU-R BT.2020
_TO_BT709 = np.array(
    [[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]], np.float32
)  # linear light, ITU-R BT.2087


@dataclass(frozen=True)
class Colour:
    """Colour of a video.

    Attributes:
        transfer: transfer function, by its name in ffmpeg; None if the file names none.
        hdr: the video is HDR (PQ or HLG), or may be: it names no transfer function, but has the primaries of HDR.
        bt2020: the primaries are those of BT.2020.
    """

    transfer: str | None = None
    hdr: bool = False
    bt2020: bool = False

    @classmethod
    def of(cls, frame: VideoFrame, container_tags: tuple[int, int]) -> Colour:
        """Colour of a video, from its first frame and `container_tags`, which count where the frame has no tag."""
        transfer = _transfer_name(frame.color_trc) or _transfer_name(container_tags[0])
        primaries = container_tags[1] if frame.color_primaries == _UNSPECIFIED else int(frame.color_primaries)
        wide = primaries == _BT2020_PRIMARIES or int(frame.colorspace) in _BT2020_MATRICES
        # Both transfer functions are defined for BT.2020 (ITU-R BT.2100): it is assumed where no primaries are named.
        if transfer in (PQ, HLG):
            return cls(transfer, hdr=True, bt2020=primaries in (_BT2020_PRIMARIES, _UNSPECIFIED))
        return cls(transfer, hdr=transfer is None and (wide or _has_hdr_data(frame)), bt2020=wide)

    @property
    def tone_mapped(self) -> bool:
        """Whether frames are converted to SDR by `to_sdr`."""
        return self.transfer in (PQ, HLG)

    @property
    def unknown(self) -> bool:
        """Whether the video may be HDR, so that the brightness and colours of its frames are uncertain."""
        return self.hdr and not self.tone_mapped

    def to_sdr(self, image: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
        """Convert an HDR frame (H, W, 3), uint16, to SDR, uint8: reference white becomes 255, the primaries BT.709."""
        light = _light(self.transfer)[image]
        if self.transfer == HLG:  # from light of the scene to light of the display
            light *= (light @ _LUMINANCE)[..., None] ** np.float32(HLG_GAMMA - 1)
            light *= HLG_PEAK / REFERENCE_WHITE
        if self.bt2020:
            light = light @ _TO_BT709.T
        signal: Floats = np.clip(light, 0, 1) ** np.float32(1 / SDR_GAMMA)
        return np.rint(255 * signal).astype(np.uint8)


def container_tags(decoder: VideoCodecContext) -> tuple[int, int]:
    """Transfer function and primaries of a track before any frame is decoded, by their numbers in ISO/IEC 23091-2."""
    return int(decoder.color_trc), int(decoder.color_primaries)


@lru_cache
def _light(transfer: str | None) -> Floats:
    """Linear light (65536,) of each 16-bit value: with PQ relative to reference white, with HLG to the scene's peak."""
    signal = np.minimum(np.arange(1 << 16) / SWSCALE_WHITE, 1)
    if transfer == PQ:  # SMPTE ST 2084
        power = signal ** (4096 / (2523 * 128))
        light = (np.maximum(power - 3424 / 4096, 0) / (2413 / 128 - 2392 / 128 * power)) ** (16384 / 2610)
        return (light * (10_000 / REFERENCE_WHITE)).astype(np.float32)
    a = 0.17883277  # ITU-R BT.2100, with b and c derived from it
    b, c = 1 - 4 * a, 0.5 - a * np.log(4 * a)
    return np.where(signal <= 0.5, signal**2 / 3, (np.exp((signal - c) / a) + b) / 12).astype(np.float32)


def _transfer_name(number: int) -> str | None:
    from av.video.reformatter import ColorTrc

    if number == _UNSPECIFIED or number not in list(ColorTrc):
        return None
    return ColorTrc(number).name.lower().replace("_", "-")


def _has_hdr_data(frame: VideoFrame) -> bool:
    all_data = cast("Iterable[SideData]", frame.side_data)
    return any(cast("Any", data.type).name in _HDR_SIDE_DATA for data in all_data)
