"""Small published weights, a single file and a hub model, in place of the real ones."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import torch
from safetensors.torch import save

from viral.weights.catalogue import CATALOGUE, HubModel, Licence, WeightsFile

MIT = Licence("MIT", "https://example.com/licence")


@dataclass
class Published:
    """Weights with the content of their files, and a folder with a downloaded copy."""

    weights: WeightsFile | HubModel
    files: dict[str, bytes]
    folder: Path
    name: str = field(init=False)

    def __post_init__(self) -> None:
        self.name = self.weights.name
        for file, data in self.files.items():
            (self.folder / file).parent.mkdir(parents=True, exist_ok=True)
            (self.folder / file).write_bytes(data)

    def change(self, file: str) -> None:
        """Replace a file by other content, as a publisher might."""
        self.files[file] = save({"other": torch.zeros(3)})
        (self.folder / file).write_bytes(self.files[file])


@pytest.fixture(autouse=True)
def nothing_on_this_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("VIRAL_WEIGHTS", str(tmp_path / "machine"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.delenv("VIRAL_ROOT", raising=False)


@pytest.fixture
def publish(monkeypatch: pytest.MonkeyPatch) -> Callable[[WeightsFile | HubModel], None]:
    return lambda weights: monkeypatch.setitem(CATALOGUE, weights.name, weights)


@pytest.fixture
def single(publish: Callable[[WeightsFile], None], tmp_path: Path) -> Published:
    """One file whose name contains its hash."""
    data = save({"weight": torch.arange(20_000.0)})
    file = f"tiny-{hashlib.sha256(data).hexdigest()[:8]}.safetensors"
    weights = WeightsFile("tiny-file", f"https://nowhere.invalid/{file}", licence=MIT)
    publish(weights)
    return Published(weights, {file: data}, tmp_path / "brought")


@pytest.fixture
def several(publish: Callable[[HubModel], None], tmp_path: Path) -> Published:
    """A hub model without published hashes, not for commercial use."""
    files = {"config.json": b"{}", "parts/model.safetensors": save({"weight": torch.arange(30_000.0)})}
    terms = Licence("CC-BY-NC-4.0", "https://example.com/model", commercial=False)
    model = HubModel("tiny-model", "someone/tiny", tuple(files), licence=terms)
    publish(model)
    return Published(model, files, tmp_path / "brought-model")
