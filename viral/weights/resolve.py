"""Where pretrained weights lie, what identifies them, and how they are read. Nothing here touches the network."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from viral.errors import WeightsError
from viral.weights.cache import find_here, weights_folder
from viral.weights.catalogue import KNOWN_WEIGHTS, HubModel, Known, KnownWeights, Licence, Resolve, TellsDigest
from viral.weights.manifest import digest_of, file_digest
from viral.weights.pinned import as_pinned, split_pinned

if TYPE_CHECKING:
    import torch

__all__ = [
    "KNOWN_WEIGHTS",
    "RANDOM",
    "HubModel",
    "Known",
    "KnownWeights",
    "Licence",
    "absent",
    "file_digest",
    "find_known",
    "identity_of",
    "local_file",
    "named",
    "read_state_dict",
    "weights_folder",
]

RANDOM = "random"
"""The name of seeded random weights: they exercise the pipeline and mean nothing."""


def named(name: str) -> Known:
    """The known weights of a name.

    Raises:
        WeightsError: there are none; the message lists those there are.
    """
    if name not in KNOWN_WEIGHTS:
        raise WeightsError(f"no weights are named {name!r}: choose from {', '.join(KNOWN_WEIGHTS)}")
    return KNOWN_WEIGHTS[name]


def find_known(name: str, resolve: Resolve | None = None) -> Path:
    """The file of published weights, of a hub model its folder.

    Args:
        name: one of KNOWN_WEIGHTS.
        resolve: where they are looked for; by default on this machine alone.

    Raises:
        WeightsError: they are not there, or their bytes are not what they are said to be.
    """
    return (resolve or local_file)(named(name))


def identity_of(weights: str, known: Mapping[str, str], resolve: Resolve) -> str:
    """How weights enter the fingerprint of a feature set: by what they are, not by where they lie.

    A published file is named by its name, which tells its hash. Of everything else the SHA-256 is told: of a file given
    by path or URI, and of a known model that is trusted on first use, so that vectors by one copy are never taken for
    those by another.

    Args:
        weights: a name, `random`, a path or a URI.
        known: the names that the extractor knows, each with its name in KNOWN_WEIGHTS.
        resolve: finds them.

    Raises:
        WeightsError: they have to be read, and cannot be had.
    """
    if weights == RANDOM:
        return RANDOM
    if weights not in known:
        _, digest = split_pinned(weights)  # where it is named, the file need not be there
        return f"sha256:{digest or file_digest(resolve(weights))}"
    entry = named(known[weights])
    if isinstance(entry, KnownWeights) and entry.digest:
        return weights
    return f"{weights}@sha256:{_content(entry, resolve)}"


def _content(known: Known, resolve: Resolve) -> str:
    if all(len(sha256) == 64 for sha256 in known.published.values()):
        return digest_of(known.published)
    if isinstance(resolve, TellsDigest) and (told := resolve.digest(known)):
        return told
    path = resolve(known)
    folder = path.parent if isinstance(known, KnownWeights) else path
    return digest_of({file: file_digest(folder / file) for file in known.files})


def absent(known: Known, where: str, option: str = "") -> WeightsError:
    """The error of weights that are not there, with what brings them."""
    return WeightsError(
        f"the weights {known.name} are not {where}: run `viral weights fetch {known.name}{option}`, "
        "or pass `--weights random` to try the pipeline without them"
    )


def local_file(uri: str | Known) -> Path:
    """Known weights on this machine, or the file at a path or a `file://` address: the resolver where there is no root.

    Raises:
        WeightsError: there is no such file, or the address is of another kind.
    """
    if not isinstance(uri, str):
        folder = find_here(uri)
        if folder is None:
            raise absent(uri, "on this machine")
        return uri.inside(folder)
    uri, digest = split_pinned(uri)
    parts = urlsplit(uri)
    if parts.scheme not in ("", "file"):
        raise WeightsError(f"cannot read weights from {uri} here: copy the file to this machine and give its path")
    path = Path(unquote(parts.path)) if parts.scheme else Path(uri).expanduser()
    if not path.is_file():
        raise WeightsError(f"there are no weights at {uri}: give the name of known weights, `random`, or a file's path")
    return as_pinned(path, digest)


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
