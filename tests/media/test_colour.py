"""HDR becomes SDR with the same white; what may be HDR is flagged; SDR stays as it is."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from viral.extractors.craft import Craft
from viral.extractors.extractor import PostInput
from viral.media.colour import HLG, PQ, Colour
from viral.media.decode import decode
from viral.media.limits import MediaLimits
from viral.media.media import Media
from viral.media.plan import SamplingPlan
from viral.media.requests import Frames
from viral.weights.resolve import resolve_local

SIZE, BARS = 96, 3
PICTURE = Frames(count=1, size=(SIZE, SIZE))
LARGER_KEY = Frames(count=1, size=(2 * SIZE, 2 * SIZE), choice="key")
BT709, UNSPECIFIED, BT2020 = 1, 2, 9
TRANSFERS = {PQ: 16, HLG: 18, "bt709": 1, "bt2020-10": 14, None: 2}
WHITE = {PQ: 0.5807, HLG: 0.75}  # signal of reference white, ITU-R BT.2408


def write(
    path: Path,
    signal: tuple[float, ...],
    transfer: str | None,
    *,
    bits: int = 10,
    full: bool = False,
    gamut: int = BT2020,
) -> None:
    """A video of grey bars with these signals from 0 to 1."""
    pixels, scale = np.uint16 if bits == 10 else np.uint8, 1 << (bits - 8)
    codes = [round(e * (256 * scale - 1)) if full else round((16 + 219 * e) * scale) for e in signal]
    codec, form = ("libx265", "yuv420p10le") if bits == 10 else ("libx264", "yuv420p")
    quality = {"x265-params": "log-level=none:qp=4"} if bits == 10 else {"qp": "4"}
    tags = {"color_trc": TRANSFERS[transfer], "color_primaries": gamut, "colorspace": gamut, "color_range": 1 + full}
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=10, options=quality)
        stream.width, stream.height, stream.pix_fmt = SIZE, SIZE, form
        for number in range(3):
            frame = av.VideoFrame(SIZE, SIZE, form)
            for plane in frame.planes:
                plane.update(np.full(plane.buffer_size // pixels().itemsize, 128 * scale, pixels).tobytes())
            luma = np.zeros((SIZE, frame.planes[0].line_size // pixels().itemsize), pixels)
            luma[:, :SIZE] = np.repeat(codes, SIZE // BARS)
            frame.planes[0].update(luma.tobytes())
            frame.pts = number
            for name, value in tags.items():
                setattr(stream.codec_context, name, value)
                setattr(frame, name, value)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def read(path: Path, *requests: Frames) -> Media:
    return decode(str(path), SamplingPlan.from_requests(requests or (PICTURE, LARGER_KEY)), MediaLimits())


def bars(media: Media, request: Frames = PICTURE) -> list[int]:
    """The grey of each bar."""
    batch = media.frames(request)
    assert batch is not None
    centres = batch.data[0, request.size[0] // 2, request.size[1] // (2 * BARS) :: request.size[1] // BARS]
    assert np.ptp(centres.astype(int), axis=1).max() <= 2
    return [int(value) for value in centres.mean(axis=1)]


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("bits", [8, 10])
@pytest.mark.parametrize("transfer", [PQ, HLG])
def test_white_and_greys_of_hdr_are_those_of_sdr(tmp_path: Path, transfer: str, bits: int, full: bool) -> None:
    # A grey page of a tenth of the white's light: 20.3 cd/m², in SDR 255 · 0.1^(1/2.4).
    grey = {PQ: 0.3583, HLG: 0.3415}[transfer]
    write(tmp_path / "hdr.mp4", (WHITE[transfer], grey, 1.0), transfer, bits=bits, full=full)
    media = read(tmp_path / "hdr.mp4")
    assert (media.facts.transfer, media.facts.hdr, media.facts.decoder, media.partial) == (transfer, True, "pyav", ())
    for request in (PICTURE, LARGER_KEY):
        assert bars(media, request) == pytest.approx([255, 98, 255], abs=4)


def test_primaries_become_those_of_sdr() -> None:
    light = np.array([0.6274, 0.0691, 0.0164]) * 203 / 10_000  # red of BT.709 in BT.2020
    power = light ** (2610 / 16384)
    signal = ((3424 / 4096 + 2413 / 128 * power) / (1 + 2392 / 128 * power)) ** (2523 / 32)
    image = np.rint(signal * (255 << 8)).astype(np.uint16)[None, None]
    assert Colour(PQ, hdr=True, bt2020=True).to_sdr(image)[0, 0] == pytest.approx([255, 0, 0], abs=12)
    assert Colour(PQ, hdr=True).to_sdr(image)[0, 0].tolist() != [255, 0, 0]


def test_what_may_be_hdr_is_flagged_and_its_light_is_not_compared(tmp_path: Path) -> None:
    write(tmp_path / "unnamed.mp4", (WHITE[PQ], 0.3, 1.0), None)
    craft = Craft()
    media = read(tmp_path / "unnamed.mp4", *(need for need in craft.needs if isinstance(need, Frames)))
    assert (media.facts.transfer, media.facts.hdr, media.partial) == (None, True, ("hdr",))
    assert craft.load("cpu", resolve_local)(PostInput(media)) is None


@pytest.mark.parametrize(("transfer", "gamut"), [("bt709", BT709), (None, UNSPECIFIED), ("bt2020-10", BT2020)])
@pytest.mark.parametrize("full", [False, True])
def test_sdr_stays_as_it_is(tmp_path: Path, transfer: str | None, gamut: int, full: bool) -> None:
    write(tmp_path / "sdr.mp4", (1.0, 0.5, 0.1), transfer, bits=8, full=full, gamut=gamut)
    media = read(tmp_path / "sdr.mp4")
    assert (media.facts.transfer, media.facts.hdr, media.partial) == (transfer, False, ())
    assert bars(media) == pytest.approx([255, 128, 26], abs=2)


def test_planted_files(shared_data: Path) -> None:
    hdr, sdr = (read(shared_data / "trouble" / f"{name}.mp4") for name in ("w_pq203nits", "w_sdr"))
    assert (hdr.facts.hdr, sdr.facts.hdr) == (True, False)
    assert bars(hdr) == pytest.approx(bars(sdr), abs=6)
