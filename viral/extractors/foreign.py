"""A column of vectors that were made elsewhere and brought in as a table: it has a name, and no way to make more."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from viral.errors import WeightsError
from viral.extractors.spec import Encode, ExtractorSpec, Resolve

FOREIGN = "foreign"


@dataclass(frozen=True, kw_only=True)
class Foreign(ExtractorSpec):
    """Vectors of unknown making.

    Args:
        name: of the column.
        modality: what a user calls it.
        length: of the vectors.
        digest: a hash of the table that they came with, so that another table's are never taken for these.
    """

    name: str  # type: ignore[misc]  # of one column here, not of a class of extractors
    modality: str  # type: ignore[misc]  # the same
    length: int
    digest: str

    revision: ClassVar[str] = "1"

    @property
    def dim(self) -> int:
        """The length of the vectors."""
        return self.length

    @property
    def registered(self) -> str:
        """The name of its class in the registry."""
        return FOREIGN

    def check(self, resolve: Resolve) -> None:
        """Raise WeightsError: there is nothing to make these vectors with."""
        raise WeightsError(
            f"the vectors {self.name} came with a table (viral train --features): there is no extractor that makes "
            "them of a video; score the posts of that table with viral score --all"
        )

    def load(self, device: str, resolve: Resolve) -> Encode:
        """Raise WeightsError, as `check` does."""
        self.check(resolve)
        raise AssertionError("check always raises")
