"""Models that are a folder of files: where it lies, whether it is whole, and what identifies it."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from viral.errors import WeightsError
from viral.weights.catalogue import Resolve
from viral.weights.manifest import digest_of
from viral.weights.resolve import file_digest, find_known, identity_of


def model_folder(weights: str, known: Collection[str], needed: Collection[str], resolve: Resolve) -> Path:
    """The folder of a model.

    Args:
        weights: the name of a known model, or the path of a folder.
        known: the names that may be given, as in `KNOWN_WEIGHTS`.
        needed: patterns of file names, each of which some file must match.
        resolve: finds known models.

    Raises:
        WeightsError: it is not on this machine, or is not whole.
    """
    folder = find_known(weights, resolve) if weights in known else Path(weights).expanduser()
    if not folder.is_dir():
        raise WeightsError(f"there is no model at {weights}: give {', '.join(known)}, or the path of a folder")
    if lacking := [pattern for pattern in needed if not any(folder.glob(pattern))]:
        raise WeightsError(f"the model in {folder} lacks {lacking[0]}: it needs {', '.join(needed)}")
    return folder


def folder_identity(weights: str, known: Collection[str], needed: Collection[str], resolve: Resolve) -> str:
    """What identifies a model in a fingerprint: by `identity_of` if it is known, else a SHA-256 over its files.

    Raises:
        WeightsError: as `model_folder`.
    """
    if weights in known:
        return identity_of(weights, {weights: weights}, resolve)
    files = sorted(path for path in model_folder(weights, known, needed, resolve).iterdir() if path.is_file())
    return f"sha256:{digest_of({path.name: file_digest(path) for path in files})}"
