"""Models that are a folder of files: where it lies, whether it is whole, and what identifies it."""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from pathlib import Path

from viral.errors import WeightsError
from viral.extractors.weights import file_digest, find_known


def model_folder(weights: str, known: Collection[str], needed: Collection[str]) -> Path:
    """The folder of a model.

    Args:
        weights: the name of a known model, or the path of a folder.
        known: the names that may be given, as in `KNOWN_WEIGHTS`.
        needed: patterns of file names, each of which some file must match.

    Raises:
        WeightsError: it is not on this machine, or is not whole.
    """
    folder = find_known(weights) if weights in known else Path(weights).expanduser()
    if not folder.is_dir():
        raise WeightsError(f"there is no model at {weights}: give {', '.join(known)}, or the path of a folder")
    if lacking := [pattern for pattern in needed if not any(folder.glob(pattern))]:
        raise WeightsError(f"the model in {folder} lacks {lacking[0]}: it needs {', '.join(needed)}")
    return folder


def folder_identity(weights: str, known: Collection[str], needed: Collection[str]) -> str:
    """What identifies a model in a fingerprint: its name if it is known, else a SHA-256 over the files of its folder.

    Raises:
        WeightsError: as `model_folder`.
    """
    if weights in known:
        return weights
    files = sorted(path for path in model_folder(weights, known, needed).iterdir() if path.is_file())
    listed = "".join(f"{file_digest(path)}  {path.name}\n" for path in files)
    return f"sha256:{hashlib.sha256(listed.encode()).hexdigest()}"
