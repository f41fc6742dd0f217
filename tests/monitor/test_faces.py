"""Face targets: off unless switched on, with a purpose, of named persons, and nothing kept of other faces.

SFace's weights come in no package that could be installed here; with them in `$VIRAL_TEST_SFACE`, and real TikToks in
the folder of test data, a person is told from others.
"""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
from safetensors.numpy import load

from tests.conftest import Viral
from viral.config import Settings
from viral.errors import WeightsError
from viral.monitor.detector.examples import NegativeFrames, read_negatives
from viral.monitor.detector.face_network import FACE_DIM, FACES, FaceNetwork
from viral.monitor.targets import load_detector, read_card, save_target
from viral.storage.store import Store
from viral.weights.resolve import resolve_local


@pytest.fixture
def sface() -> Path:
    path = os.environ.get("VIRAL_TEST_SFACE")
    if path is None:
        pytest.skip("no SFace weights in $VIRAL_TEST_SFACE")
    return Path(path)


def test_what_a_face_target_needs(watched: Path, viral_here: Viral, tmp_path: Path) -> None:
    shutil.copytree(watched / "root", tmp_path / "root")
    (tmp_path / "bad.onnx").write_bytes(b"no weights")
    folders = ("--examples", watched / "examples", "--negatives", watched / "negatives", "--root", tmp_path / "root")
    bad = ("--weights", tmp_path / "bad.onnx")
    for arguments, message in (
        (("anna", "--face"), "needs SFace's weights: --weights face_recognition_sface_2021dec.onnx"),
        (("anna", "--face", "--weights", tmp_path / "none.onnx"), "there is no file"),
        (("anna", "--face", *bad), "say why the face of anna is looked for: --purpose TEXT"),
        (("anna", "--face", *bad, "--purpose", "test"), "holds no weights that OpenCV can read"),
        (("logo", "--face", *bad, "--purpose", "test"), "logo is a thing"),
    ):
        done = viral_here("monitor", "target", "add", *arguments, *folders)
        assert done.returncode == 2 and message in done.stderr, done.stderr
        assert len(done.stderr.strip().splitlines()) == 1
    with pytest.raises(WeightsError):
        FaceNetwork(resolve_local, str(tmp_path / "bad.onnx"))


def test_the_watch_looks_for_no_face_unless_told(watched: Path, viral_here: Viral, tmp_path: Path) -> None:
    """A card stands for a face target here: it is refused, or left out, before its network is loaded."""
    shutil.copytree(watched / "root", tmp_path / "root")
    store = Store(tmp_path / "root")
    detector = load_detector(store, "logo")
    save_target(store, replace(detector.card, name="anna", backbone=FACES, weights="none.onnx"), detector.head)
    run = ("monitor", "run", "--once", "--feed", f"folder:{watched / 'clean'}", "--root", store.root)
    done = viral_here(*run)
    assert done.returncode == 0 and "face targets are off (--faces): anna" in done.stderr
    for arguments in ((*run, "--target", "anna"), ("monitor", "label", watched / "clean", "--out", tmp_path / "out",
                                                   "--target", "anna", "--root", store.root)):  # fmt: skip
        done = viral_here(*arguments)
        assert done.returncode == 2 and "face targets are off: switch them on" in done.stderr
    done = viral_here(*run, "--faces")
    assert done.returncode == 2 and "none.onnx" in done.stderr, "switched on, its weights are looked for"
    done = viral_here("monitor", "target", "add", "anna", "--root", store.root)
    assert done.returncode == 2 and "face targets are off" in done.stderr


def person_frames(network: FaceNetwork, path: Path) -> list[np.ndarray]:
    """Frames of a video with exactly one face."""
    with av.open(str(path)) as file:
        frames = [frame.to_ndarray(format="rgb24") for n, frame in enumerate(file.decode(video=0)) if n % 15 == 0]
    return [frame for frame in frames if sum(face.any() for face in network.windows(frame[None])[0]) == 1]


def test_a_person_is_told_from_others(sface: Path, data_folder: Path | None, viral_here: Viral, tmp_path: Path) -> None:
    from PIL import Image

    if data_folder is None:
        pytest.skip("no real videos")
    network = FaceNetwork(resolve_local, str(sface))
    videos = sorted((data_folder / "tiktok_videos" / "videos").glob("*.mp4"), key=lambda path: path.stat().st_size)[:9]
    shown = {path: person_frames(network, path) for path in videos}
    person = max(videos, key=lambda path: len(shown[path]))
    assert len(shown[person]) >= 4
    for name in ("root", "examples", "negatives"):
        (tmp_path / name).mkdir()
    for i, frame in enumerate(shown[person][:3]):
        Image.fromarray(frame).save(tmp_path / "examples" / f"{i}.png")
    others = [path for path in videos if path != person]
    for path in others[:6]:
        shutil.copy(path, tmp_path / "negatives")
    options = ("--examples", tmp_path / "examples", "--negatives", tmp_path / "negatives", "--purpose", "a test")
    root = ("--root", tmp_path / "root")
    done = viral_here("monitor", "target", "add", "anna", "--face", "--weights", sface, *options, *root)
    assert done.returncode == 0, done.stderr
    done = viral_here("monitor", "target", "show", "anna", *root)
    assert "a test" in done.stdout and "sface" in done.stdout
    store = Store(tmp_path / "root")
    detector = load_detector(store, "anna")
    (tmp_path / "test").mkdir()
    for path in (person, *others[6:]):
        shutil.copy(path, tmp_path / "test")
    found = {part.video for part in read_negatives(tmp_path / "test", Settings()) if is_found(detector, network, part)}
    assert found == {person.name}
    tensors = load(store.read("monitor/targets/anna/0001.safetensors"))
    assert {name: array.shape for name, array in tensors.items()} == {
        "mean": (FACE_DIM,), "matrix": (FACE_DIM, FACE_DIM), "prototype": (FACE_DIM,)
    }, "one description: of the target"  # fmt: skip
    assert read_card(store, "anna").is_face and json.loads(store.read("monitor/targets/anna/0001.json"))["purpose"]


def is_found(detector: object, network: FaceNetwork, part: NegativeFrames) -> bool:
    return detector.rule.find(detector.frame_scores(network, part.images)) is not None  # type: ignore[attr-defined]
