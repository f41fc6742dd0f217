from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from viral.errors import WeightsError
from viral.weights.cache import weights_folder
from viral.weights.catalogue import CATALOGUE
from viral.weights.manifest import file_digest
from viral.weights.resolve import find_weights, read_state_dict, resolve_local


@pytest.fixture(autouse=True)
def nothing_on_this_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("VIRAL_WEIGHTS", str(tmp_path / "weights"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))


@pytest.mark.parametrize("name", CATALOGUE)
def test_missing_weights_name_the_fix(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("viral.weights.packaged.find_spec", lambda _: None)  # the package of some is installed
    with pytest.raises(WeightsError, match=f"viral weights fetch {name}.*--weights random"):
        find_weights(name)


def test_known_weights_are_those_of_torchvision() -> None:
    from torchvision.models import ResNet50_Weights
    from torchvision.models.video import R2Plus1D_18_Weights

    assert CATALOGUE["resnet50-imagenet"].url == ResNet50_Weights.IMAGENET1K_V1.url
    assert CATALOGUE["r2plus1d-kinetics400"].url == R2Plus1D_18_Weights.KINETICS400_V1.url
    assert CATALOGUE["resnet50-imagenet"].digest == "0676ba61"


@pytest.mark.parametrize("folder", ["weights", "torch/hub/checkpoints"])
def test_files_that_are_not_the_published_ones_are_refused(tmp_path: Path, folder: str) -> None:
    path = tmp_path / folder / CATALOGUE["resnet50-imagenet"].file
    path.parent.mkdir(parents=True)
    path.write_bytes(b"half a download")
    with pytest.raises(WeightsError, match="differs from the published resnet50-imagenet: delete it"):
        find_weights("resnet50-imagenet")


def test_the_folder_can_be_set(tmp_path: Path) -> None:
    assert weights_folder() == tmp_path / "weights"


def test_paths_and_file_addresses(tmp_path: Path) -> None:
    path = tmp_path / "a b.pt"
    path.write_bytes(b"x")
    assert resolve_local(str(path)) == resolve_local(path.as_uri()) == path
    with pytest.raises(WeightsError, match="no weights at imagnet"):
        resolve_local("imagnet")
    with pytest.raises(WeightsError, match="cannot read weights from s3://bucket/a"):
        resolve_local("s3://bucket/a.pt")


def test_digest_follows_the_bytes(tmp_path: Path) -> None:
    path = tmp_path / "w"
    path.write_bytes(b"one")
    assert file_digest(path) == hashlib.sha256(b"one").hexdigest()
    path.write_bytes(b"three")
    assert file_digest(path) == hashlib.sha256(b"three").hexdigest()


def test_reads_both_formats(tmp_path: Path) -> None:
    state = {"a": torch.arange(3.0)}
    save_file(state, tmp_path / "w.safetensors")
    torch.save(state, tmp_path / "w.pt")
    for name in ("w.safetensors", "w.pt"):
        assert torch.equal(read_state_dict(tmp_path / name)["a"], state["a"])


def test_what_runs_code_is_refused(tmp_path: Path) -> None:
    torch.save(torch.nn.Linear(2, 2), tmp_path / "module.pt")
    (tmp_path / "text.pt").write_text("not weights")
    (tmp_path / "empty.pt").touch()
    (tmp_path / "text.safetensors").write_text("not weights either")
    torch.save({"epoch": 3, "model": {}}, tmp_path / "checkpoint.pt")
    for path in sorted(tmp_path.glob("*.*")):
        with pytest.raises(WeightsError, match=path.name):
            read_state_dict(path)
