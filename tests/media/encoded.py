"""Small encoded files whose times, geometry and sound are known, and how they are read."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt

from viral.media.decode import decode
from viral.media.limits import MediaLimits
from viral.media.media import Media
from viral.media.plan import SamplingPlan
from viral.media.requests import AudioTrack, Frames

SOUND, PICTURES = AudioTrack(8000), Frames(every=0.5, size=(32, 32), fit="inside")
KEYS = Frames(count=1, size=(32, 32), choice="key", fit="inside")
WIDTH, HEIGHT, FPS, RATE = 96, 64, 10, 8000


def read(path: Path | str, *requests: AudioTrack | Frames) -> Media:
    return decode(str(path), SamplingPlan.from_requests(requests or (SOUND, PICTURES)), MediaLimits())


def picture() -> npt.NDArray[np.uint8]:
    """A picture whose corners all differ."""
    image = np.full((HEIGHT, WIDTH, 3), 128, np.uint8)
    image[: HEIGHT // 2, : WIDTH // 2] = (255, 0, 0)
    image[: HEIGHT // 2, WIDTH // 2 :] = (0, 255, 0)
    image[HEIGHT // 2 :, : WIDTH // 2] = (0, 0, 255)
    return image


def video_packets(
    container: av.container.OutputContainer, seconds: float, *, noisy: bool = False, **options: object
) -> Iterable[av.Packet]:
    stream = container.add_stream("libx264", rate=FPS, options={"bf": "0"})
    stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv444p"
    for name, value in options.items():
        setattr(stream, name, value)
    rng = np.random.default_rng(0)
    for number in range(round(seconds * FPS)):
        image = rng.integers(0, 255, (HEIGHT, WIDTH, 3), np.uint8) if noisy else picture()
        frame = av.VideoFrame.from_ndarray(image, format="rgb24")
        frame.pts = number
        yield from stream.encode(frame)
    yield from stream.encode(None)


def audio_packets(container: av.container.OutputContainer, seconds: float, hertz: float = 500) -> Iterable[av.Packet]:
    stream = container.add_stream("pcm_s16le", rate=RATE, layout="mono")
    for start in range(0, round(seconds * RATE), RATE // 10):
        times = np.arange(start, start + RATE // 10) / RATE
        samples = (16000 * np.sin(2 * np.pi * hertz * times)).astype("<i2")
        frame = av.AudioFrame.from_ndarray(samples[None], format="s16", layout="mono")
        frame.sample_rate, frame.pts = RATE, start
        yield from stream.encode(frame)


Move = Callable[[float], float]


def write(path: Path, video: float, *sounds: float, move_sound: Move = float, move_all: Move = float) -> Path:
    """Write a file of so many seconds of picture and of each sound track, with times moved."""
    with av.open(str(path), "w") as container:
        packets = list(video_packets(container, video))
        for seconds in sounds:
            packets += audio_packets(container, seconds)
        for packet in sorted(packets, key=lambda packet: float(packet.pts * packet.time_base)):
            move = move_sound if packet.stream.type == "audio" else float
            for name in ("pts", "dts"):
                moved = move_all(move(float(getattr(packet, name) * packet.time_base)))
                setattr(packet, name, round(moved / packet.time_base))
            container.mux(packet)
    return path
