"""Small published weights: a file and a model of several, made here, that take the places of the real ones."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import torch
from safetensors.torch import save

from viral.weights.catalogue import KNOWN_WEIGHTS, HubModel, KnownWeights, Licence

MIT = Licence("MIT", "https://example.com/licence")


@dataclass
class Published:
    """Weights with the bytes of their files, and a folder that somebody brought them in."""

    known: KnownWeights | HubModel
    files: dict[str, bytes]
    folder: Path
    name: str = field(init=False)

    def __post_init__(self) -> None:
        self.name = self.known.name
        for file, data in self.files.items():
            (self.folder / file).parent.mkdir(parents=True, exist_ok=True)
            (self.folder / file).write_bytes(data)

    def change(self, file: str) -> None:
        """Let the publisher publish something else."""
        self.files[file] = save({"other": torch.zeros(3)})
        (self.folder / file).write_bytes(self.files[file])


@pytest.fixture(autouse=True)
def nothing_on_this_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("VIRAL_WEIGHTS", str(tmp_path / "machine"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.delenv("VIRAL_ROOT", raising=False)


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch) -> Callable[[KnownWeights | HubModel], None]:
    return lambda weights: monkeypatch.setitem(KNOWN_WEIGHTS, weights.name, weights)


@pytest.fixture
def single(known: Callable[[KnownWeights], None], tmp_path: Path) -> Published:
    """One file, whose name tells its hash."""
    data = save({"weight": torch.arange(20_000.0)})
    file = f"tiny-{hashlib.sha256(data).hexdigest()[:8]}.safetensors"
    weights = KnownWeights("tiny-file", f"https://nowhere.invalid/{file}", licence=MIT)
    known(weights)
    return Published(weights, {file: data}, tmp_path / "brought")


@pytest.fixture
def several(known: Callable[[HubModel], None], tmp_path: Path) -> Published:
    """A model of the hub, of whose files no hash is published; not for commercial use."""
    files = {"config.json": b"{}", "parts/model.safetensors": save({"weight": torch.arange(30_000.0)})}
    terms = Licence("CC-BY-NC-4.0", "https://example.com/model", commercial=False)
    model = HubModel("tiny-model", "someone/tiny", tuple(files), licence=terms)
    known(model)
    return Published(model, files, tmp_path / "brought-model")
