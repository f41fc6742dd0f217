"""Real files, and small synthetic ones."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest

Make = Callable[..., str]


@pytest.fixture(scope="session")
def cases(shared_data: Path) -> Path:
    return shared_data / "media_cases" / "files"


@pytest.fixture(scope="session")
def paths(videos: list[Path]) -> list[str]:
    """Real TikToks or synthetic clips, the smallest first."""
    return [str(path) for path in videos]


@pytest.fixture
def find(cases: Path) -> Callable[[str], str]:
    """Finds the path of the one case whose name has this ending."""

    def path(ending: str) -> str:
        (match,) = [str(path) for path in cases.iterdir() if path.name.endswith(ending)]
        return match

    return path


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Encodes a moving test picture whose frames can be told apart by the brightness of their corner, 4 a frame."""

    def encode(name: str, codec: str = "libx264", *, frames: int = 48, shift: int = 0, **options: str) -> str:
        path = str(tmp_path / name)
        blocks = np.kron(
            np.random.default_rng(0).integers(0, 255, (6, 10, 3), np.uint8), np.ones((16, 16, 1), np.uint8)
        )
        with av.open(path, "w") as container:
            stream = container.add_stream(codec, rate=30, options=options)
            stream.width, stream.height, stream.pix_fmt = 160, 96, "yuv420p"
            images = (np.roll(blocks, 3 * number, 1).copy() for number in range(frames))
            for number, image in enumerate(images):
                image[:16, :16] = 4 * number
                frame = av.VideoFrame.from_ndarray(image, format="rgb24")
                frame.pts = number
                _mux(container, stream.encode(frame), shift)
            _mux(container, stream.encode(None), shift)
        return path

    return encode


def _mux(container: av.container.OutputContainer, packets: list[av.Packet], shift: int) -> None:
    for packet in packets:
        packet.pts, packet.dts = packet.pts - shift, packet.dts - shift
        container.mux(packet)
