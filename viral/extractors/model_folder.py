"""Models that are folders of files: location, completeness and identity."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from viral.errors import WeightsError
from viral.weights.catalogue import Resolver
from viral.weights.manifest import combined_digest, file_digest
from viral.weights.resolve import find_weights, weights_identity


def model_folder(weights: str, names: Collection[str], required: Collection[str], resolve: Resolver) -> Path:
    """Return the folder of a model.

    Args:
        weights: one of `names`, or the path of a folder.
        names: names of models in `CATALOGUE`.
        required: file name patterns, each of which must match a file.
        resolve: locates the models in `CATALOGUE`.

    Raises:
        WeightsError: the model is not on this machine, or a file is missing.
    """
    folder = find_weights(weights, resolve) if weights in names else Path(weights).expanduser()
    if not folder.is_dir():
        raise WeightsError(f"no model at {weights}: give {', '.join(names)}, or the path of a folder")
    if missing := [pattern for pattern in required if not any(folder.glob(pattern))]:
        raise WeightsError(f"the model in {folder} lacks {missing[0]}: it needs {', '.join(required)}")
    return folder


def folder_identity(weights: str, names: Collection[str], required: Collection[str], resolve: Resolver) -> str:
    """Identify a model in a fingerprint: by `weights_identity` if it is in `names`, else by a SHA-256 of its files.

    Arguments and errors are those of `model_folder`.
    """
    if weights in names:
        return weights_identity(weights, {weights: weights}, resolve)
    # By content: a folder that is moved or renamed keeps its fingerprint.
    files = sorted(path for path in model_folder(weights, names, required, resolve).iterdir() if path.is_file())
    return f"sha256:{combined_digest({path.name: file_digest(path) for path in files})}"
