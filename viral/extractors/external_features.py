"""Feature columns imported from a table; no extractor can compute them for other posts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from viral.errors import WeightsError
from viral.extractors.spec import Encode, ExtractorSpec, Resolver

REGISTRY_NAME = "foreign"  # stored in the feature sets of saved models


@dataclass(frozen=True, kw_only=True)
class ExternalFeatures(ExtractorSpec):
    """A column of imported vectors.

    Args:
        name: name of the column.
        modality: the modality shown to users.
        length: length of the vectors.
        digest: hash of the imported table, to tell its vectors from those of other tables.
    """

    name: str  # type: ignore[misc]  # a parameter here, not a constant of the class
    modality: str  # type: ignore[misc]  # as for `name`
    length: int
    digest: str

    revision: ClassVar[str] = "1"

    @property
    def dim(self) -> int:
        """Length of the vectors."""
        return self.length

    @property
    def registry_name(self) -> str:
        """Name of the class in the registry."""
        return REGISTRY_NAME

    def check(self, resolve: Resolver) -> None:
        """Raise WeightsError: no extractor computes these vectors."""
        raise WeightsError(
            f"the vectors {self.name} came with a table (viral train --features): no extractor computes "
            "them from a video; score the posts of that table with viral score --all"
        )

    def load(self, device: str, resolve: Resolver) -> Encode:
        """Raise WeightsError, as `check` does."""
        self.check(resolve)
        raise AssertionError("check always raises")
