from __future__ import annotations

import base64
import io
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from viral.config import Settings
from viral.evaluation.report.frames import HEIGHT, WIDTH, preview_frames
from viral.evaluation.report.report import Example
from viral.storage.store import Store

PLANTED = {"upright.mp4": (180, 320), "wide.mp4": (320, 180)}
ORANGE = (230, 120, 30)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A root with two clips of one colour each and a file that is no video."""
    for name, (width, height) in PLANTED.items():
        with av.open(str(tmp_path / name), "w") as container:
            stream = container.add_stream("libx264", rate=10)
            stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
            for _ in range(5):
                picture = np.full((height, width, 3), ORANGE, np.uint8)
                container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
            container.mux(stream.encode(None))
    (tmp_path / "words.mp4").write_text("no video at all")
    return Store.open(tmp_path)


def test_a_frame_of_each_video_that_can_be_had(store: Store) -> None:
    videos = {"a": "upright.mp4", "b": store.uri("wide.mp4"), "c": "words.mp4", "d": "absent.mp4", "e": None}
    found = preview_frames(store, {**videos, "f": "https://example.org/video.mp4"}, Settings())
    assert sorted(found) == ["a", "b"]
    for post, (width, height) in (("a", (162, 288)), ("b", (160, 90))):
        Example(post_id=post, probability=0.5, score=0, actual=0, is_viral=True, image=found[post])
        image = Image.open(io.BytesIO(base64.b64decode(found[post].partition(",")[2])))
        assert image.format == "JPEG" and image.width <= WIDTH and image.height <= HEIGHT
        assert image.width / image.height == pytest.approx(width / height, rel=0.02)
        assert np.abs(np.asarray(image, dtype=int).mean(axis=(0, 1)) - ORANGE).max() < 12


def test_no_child_to_decode_in_is_no_error(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.executable", "/bin/false")
    assert preview_frames(store, {"a": "upright.mp4"}, Settings()) == {}
