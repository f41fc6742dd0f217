"""Extractor specs: name, parameters and media requests of an extractor whose weights are not loaded."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

from viral.extractors.extractor import Extractor, ExtractorOutput, PostInput
from viral.media.requests import Request
from viral.weights.catalogue import Resolver as Resolver

Encode = Callable[[PostInput], ExtractorOutput]
"""Encodes a single post, so the output cannot depend on the rest of a batch."""


@dataclass(frozen=True, kw_only=True)
class ExtractorSpec(ABC):
    """Name and parameters of an extractor; the parameters are the subclass's fields. Creating a spec loads nothing."""

    name: ClassVar[str]
    modality: ClassVar[str]
    revision: ClassVar[str]
    """Incremented by hand whenever the same input and parameters would give another vector or note."""
    has_note: ClassVar[bool] = False
    """Whether outputs are `VectorWithNote`."""
    columns: ClassVar[tuple[str, ...]] = ()
    """Names of the leading vector entries; entries of an embedding have none."""
    sparse: ClassVar[bool] = False
    """Whether a vector lists identifiers of what a post has, filled up with zeros: no numbers to compare."""

    @property
    @abstractmethod
    def dim(self) -> int:
        """Length of the vectors."""

    @property
    def registry_name(self) -> str:
        """Name of the class in the registry."""
        return self.name

    @property
    def tokens(self) -> int:
        """Number of tokens (for example, time steps) of equal length whose concatenation is the vector."""
        return 1

    @property
    def version(self) -> str:
        """The revision, plus anything else that changes the vectors."""
        return self.revision

    @property
    def needs(self) -> tuple[Request, ...]:
        """The media requests for the decoder."""
        return ()

    def params(self) -> dict[str, Any]:
        """Return the parameters by name."""
        return asdict(self)

    def identity(self, resolve: Resolver) -> dict[str, Any]:
        """The parameters for the fingerprint: weights are identified by content, not by location."""
        return self.params()

    def check(self, resolve: Resolver) -> None:  # noqa: B027 - most extractors need no weights
        """Check that the weights are available, without loading them. Raises WeightsError."""

    @abstractmethod
    def load(self, device: str, resolve: Resolver) -> Encode:
        """Load weights and models onto `device`. Raises WeightsError."""

    def build(self, device: str, resolve: Resolver) -> Extractor:
        """Return the extractor with its weights in memory. Raises WeightsError."""
        return LoadedExtractor(self, self.load(device, resolve))


@dataclass(frozen=True)
class _SpecProperties:
    """Properties of the extractor protocol, delegated to the spec."""

    spec: ExtractorSpec

    @property
    def name(self) -> str:
        """Name of the column in the feature table."""
        return self.spec.name

    @property
    def modality(self) -> str:
        """Modality shown to users."""
        return self.spec.modality

    @property
    def dim(self) -> int:
        """Length of the vectors."""
        return self.spec.dim

    @property
    def version(self) -> str:
        """Version of the vectors."""
        return self.spec.version

    @property
    def has_note(self) -> bool:
        """Whether outputs are `VectorWithNote`."""
        return self.spec.has_note

    @property
    def needs(self) -> tuple[Request, ...]:
        """The media requests for the decoder."""
        return self.spec.needs


@dataclass(frozen=True)
class LoadedExtractor(_SpecProperties):
    """A spec with its weights in memory; encodes the posts of a batch one by one.

    Batched matrix products round differently, so a vector would depend on its neighbours in the batch. A post is
    itself a batch of frames, so little speed is lost.
    """

    encode: Encode

    def __call__(self, batch: Sequence[PostInput]) -> Sequence[ExtractorOutput]:
        """Return one vector per post, independent of the rest of the batch."""
        return [self.encode(post) for post in batch]


@dataclass(frozen=True)
class BatchedExtractor(_SpecProperties):
    """A spec with its weights on a GPU; encodes several posts at once, as one would not use the GPU fully.

    The last digits of a vector then depend on its neighbours in the batch: see `NetworkSpec.batch_size`.
    """

    encode: Callable[[Sequence[PostInput]], Sequence[ExtractorOutput]]

    def __call__(self, batch: Sequence[PostInput]) -> Sequence[ExtractorOutput]:
        """Return one vector per post."""
        return self.encode(batch)


@dataclass(frozen=True)
class UnavailableExtractor(_SpecProperties):
    """Stands in for an optional extractor without weights: returns None for every post. `reason` says why."""

    reason: str

    def __call__(self, batch: Sequence[PostInput]) -> Sequence[ExtractorOutput]:
        """Return None per post."""
        return [None] * len(batch)
