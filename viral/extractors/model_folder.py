"""Models that are folders of files: location, completeness and identity."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from viral.errors import WeightsError
from viral.weights.catalogue import Resolver
from viral.weights.manifest import combined_digest, file_digest
from viral.weights.resolve import find_weights, weights_identity


def model_folder(weights: str, known: Collection[str], needed: Collection[str], resolve: Resolver) -> Path:
    """Return the folder of a model.

    Args:
        weights: the name of a known model, or the path of a folder.
        known: the names of known models, as in `CATALOGUE`.
        needed: file name patterns, each of which must match a file.
        resolve: locates known models.

    Raises:
        WeightsError: the model is not on this machine, or incomplete.
    """
    folder = find_weights(weights, resolve) if weights in known else Path(weights).expanduser()
    if not folder.is_dir():
        raise WeightsError(f"no model at {weights}: give {', '.join(known)}, or the path of a folder")
    if missing := [pattern for pattern in needed if not any(folder.glob(pattern))]:
        raise WeightsError(f"the model in {folder} lacks {missing[0]}: it needs {', '.join(needed)}")
    return folder


def folder_identity(weights: str, known: Collection[str], needed: Collection[str], resolve: Resolver) -> str:
    """Identify a model in a fingerprint: `weights_identity` of a known model, else a SHA-256 over its files.

    Raises:
        WeightsError: as `model_folder`.
    """
    if weights in known:
        return weights_identity(weights, {weights: weights}, resolve)
    files = sorted(path for path in model_folder(weights, known, needed, resolve).iterdir() if path.is_file())
    return f"sha256:{combined_digest({path.name: file_digest(path) for path in files})}"
