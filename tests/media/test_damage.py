"""Files that are cut or damaged give what there is, and say so."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from tests.media.encoded import KEYS, PICTURES, read, video_packets
from viral.media.requests import Frames


def test_a_cut_fragmented_file_gives_all_there_is(shared_data: Path) -> None:
    media = read(shared_data / "trouble" / "trunc_frag.mp4", PICTURES)
    batch = media.frames(PICTURES)
    assert batch is not None
    assert media.partial == ("truncated",)
    assert batch.pts_seconds.max() > 5
    assert media.facts.seen_seconds == pytest.approx(6, abs=0.1)


def test_damage_in_the_middle_is_partial(shared_data: Path) -> None:
    check_damaged(shared_data / "trouble" / "vonly_mid_zero.mp4")


def check_damaged(path: Path) -> None:
    for request in (PICTURES, KEYS, Frames(count=2, size=(8, 8))):
        media = read(path, request)
        assert media.partial == ("damaged",), request
        assert media.frames(request) is not None, request


@pytest.mark.parametrize("fill", ["zeros", "noise"])
def test_overwritten_pictures_are_partial(tmp_path: Path, fill: str) -> None:
    path = tmp_path / "noise.mp4"
    with av.open(str(path), "w") as container:
        for packet in video_packets(container, 4, noisy=True):
            container.mux(packet)
    content = bytearray(path.read_bytes())
    start = content.index(b"mdat") + 4
    size = int.from_bytes(content[start - 8 : start - 4], "big")
    middle = range(start + size // 3, start + size // 2)
    noise = np.random.default_rng(0).bytes(len(middle))
    content[middle.start : middle.stop] = bytes(len(middle)) if fill == "zeros" else noise
    path.write_bytes(content)
    check_damaged(path)
