"""Where pretrained weights lie, what identifies them, and how they are read. Nothing here touches the network."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from viral.errors import WeightsError

if TYPE_CHECKING:
    import torch

RANDOM = "random"
"""The name of seeded random weights: they exercise the pipeline and mean nothing."""


@dataclass(frozen=True)
class KnownWeights:
    """A published file of weights; its name ends in the first eight digits of its SHA-256, as torch hub has it."""

    name: str
    url: str

    @property
    def file(self) -> str:
        """The name of the file in a weights folder."""
        return self.url.rsplit("/", 1)[-1]

    @property
    def digest(self) -> str:
        """How the SHA-256 of the file begins."""
        return Path(self.file).stem.rsplit("-", 1)[-1]


@dataclass(frozen=True)
class HubModel:
    """A published model of several files in one folder, at a repository of the Hugging Face hub."""

    name: str
    repo: str
    files: tuple[str, ...]


_WHISPER = ("config.json", "model.bin", "tokenizer.json", "vocabulary.txt")
_WHISPER_LARGE = ("config.json", "model.bin", "preprocessor_config.json", "tokenizer.json", "vocabulary.json")
_WAV2VEC2 = (
    *("config.json", "model.safetensors", "preprocessor_config.json"),
    *("special_tokens_map.json", "tokenizer_config.json", "vocab.json"),
)

KNOWN_WEIGHTS: dict[str, KnownWeights | HubModel] = {
    known.name: known
    for known in (
        # Version 1: trained without label smoothing, which costs transfer (Kornblith et al. 2021, arXiv 2010.16402).
        KnownWeights("resnet50-imagenet", "https://download.pytorch.org/models/resnet50-0676ba61.pth"),
        KnownWeights("vgg16-imagenet", "https://download.pytorch.org/models/vgg16-397923af.pth"),
        KnownWeights("r2plus1d-kinetics400", "https://download.pytorch.org/models/r2plus1d_18-91a641e6.pth"),
        # Whisper as CTranslate2 reads it (MIT), and an aligner of English (Apache 2.0).
        HubModel("whisper-tiny", "Systran/faster-whisper-tiny", _WHISPER),
        HubModel("whisper-base", "Systran/faster-whisper-base", _WHISPER),
        HubModel("whisper-small", "Systran/faster-whisper-small", _WHISPER),
        HubModel("whisper-large-v3", "Systran/faster-whisper-large-v3", _WHISPER_LARGE),
        HubModel("wav2vec2-base-960h", "facebook/wav2vec2-base-960h", _WAV2VEC2),
        # MIT.
        HubModel("vivit-kinetics400", "google/vivit-b-16x2-kinetics400", ("config.json", "pytorch_model.bin")),
        # CC BY-NC 4.0: not for commercial use, so no extractor takes them unless they are named.
        HubModel(
            "videomae-kinetics400", "MCG-NJU/videomae-base-finetuned-kinetics", ("config.json", "model.safetensors")
        ),
    )
}
"""What `viral weights fetch` can bring, by name."""


def weights_folder() -> Path:
    """Where fetched weights are kept: `$VIRAL_WEIGHTS`, or the user's cache."""
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
    return Path(os.environ.get("VIRAL_WEIGHTS", cache / "viral" / "weights"))


def _folders() -> Iterator[Path]:
    yield weights_folder()
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
    yield Path(os.environ.get("TORCH_HOME", cache / "torch")) / "hub" / "checkpoints"


def find_known(name: str) -> Path:
    """The file of published weights, in the weights folder or in torch hub's cache; of a hub model its folder.

    Raises:
        WeightsError: it is in neither, or its bytes are not what its name says.
    """
    known = KNOWN_WEIGHTS[name]
    if isinstance(known, HubModel):
        return _find_folder(known)
    path = next((folder / known.file for folder in _folders() if (folder / known.file).is_file()), None)
    if path is None:
        raise _missing(name)
    if not file_digest(path).startswith(known.digest):
        raise WeightsError(f"{path} is not the published {name}: delete it and run `viral weights fetch {name}`")
    return path


def _find_folder(model: HubModel) -> Path:
    folder = weights_folder() / model.name
    if all((folder / file).is_file() for file in model.files):
        return folder
    raise _missing(model.name)


def _missing(name: str) -> WeightsError:
    return WeightsError(
        f"the weights {name} are not on this machine: run `viral weights fetch {name}`, "
        "or pass `--weights random` to try the pipeline without them"
    )


def local_file(uri: str) -> Path:
    """The local file at a path or a `file://` address: the resolver where no storage is set up.

    Raises:
        WeightsError: there is no such file, or the address is of another kind.
    """
    parts = urlsplit(uri)
    if parts.scheme not in ("", "file"):
        raise WeightsError(f"cannot read weights from {uri} here: copy the file to this machine and give its path")
    path = Path(unquote(parts.path)) if parts.scheme else Path(uri).expanduser()
    if not path.is_file():
        raise WeightsError(f"there are no weights at {uri}: give the name of known weights, `random`, or a file's path")
    return path


def file_digest(path: Path) -> str:
    """The SHA-256 of a file, remembered for as long as the file does not change."""
    stat = path.stat()
    return _digest(path, stat.st_size, stat.st_mtime_ns)


@lru_cache(maxsize=64)
def _digest(path: Path, _size: int, _modified: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_state_dict(path: Path) -> dict[str, torch.Tensor]:
    """The tensors of a safetensors file or of a torch checkpoint that holds tensors and nothing that runs.

    Raises:
        WeightsError: the file is neither.
    """
    import pickle

    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (SafetensorError, pickle.UnpicklingError, RuntimeError, EOFError, ValueError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise WeightsError(f"{path} holds no weights that can be read safely: {reason}") from error
    if not isinstance(state, dict) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise WeightsError(f"{path} is no state dict of tensors: save the model's state_dict() itself")
    return state
