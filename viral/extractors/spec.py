"""What an extractor is before its weights are in memory: a name, parameters, and what it asks of a video."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

from viral.extractors.extractor import Answer, Extractor, Sample
from viral.media.requests import Request
from viral.weights.catalogue import Resolve as Resolve

Encode = Callable[[Sample], Answer]
"""One sample in, its vector out: by its type it cannot depend on what else is in the batch."""


@dataclass(frozen=True, kw_only=True)
class ExtractorSpec(ABC):
    """An extractor by name and parameters. The fields of a subclass are its parameters; making one loads nothing."""

    name: ClassVar[str]
    modality: ClassVar[str]
    revision: ClassVar[str]
    """Raised by hand whenever the same input and parameters would give another vector or note."""
    tells: ClassVar[bool] = False
    """Whether its vectors come with a note, as `Told`."""
    columns: ClassVar[tuple[str, ...]] = ()
    """What the first numbers of its vectors are called; those that have no meaning by themselves have no name."""

    @property
    @abstractmethod
    def dim(self) -> int:
        """The length of its vectors."""

    @property
    def registered(self) -> str:
        """The name of its class in the registry."""
        return self.name

    @property
    def tokens(self) -> int:
        """How many tokens of the same length a vector is made of, one after the other (a step in time each, say)."""
        return 1

    @property
    def version(self) -> str:
        """The revision, and whatever else makes its vectors others."""
        return self.revision

    @property
    def needs(self) -> tuple[Request, ...]:
        """What it asks of the decode pass."""
        return ()

    def params(self) -> dict[str, Any]:
        """Its parameters by name."""
        return asdict(self)

    def identity(self, resolve: Resolve) -> dict[str, Any]:
        """Its parameters as they enter a fingerprint: with weights named by what they are, not by where they lie."""
        return self.params()

    def check(self, resolve: Resolve) -> None:  # noqa: B027 - most have nothing that could be missing
        """Make sure, without loading, that its weights are there. Raises WeightsError."""

    @abstractmethod
    def load(self, device: str, resolve: Resolve) -> Encode:
        """Load what it needs, onto `device`. Raises WeightsError."""

    def made(self, device: str, resolve: Resolve) -> Extractor:
        """The extractor with its weights in memory. Raises WeightsError."""
        return LoadedExtractor(self, self.load(device, resolve))


@dataclass(frozen=True)
class _Described:
    """The part of the extractor contract that the spec answers."""

    spec: ExtractorSpec

    @property
    def name(self) -> str:
        return self.spec.name

    @property
    def modality(self) -> str:
        return self.spec.modality

    @property
    def dim(self) -> int:
        return self.spec.dim

    @property
    def version(self) -> str:
        return self.spec.version

    @property
    def tells(self) -> bool:
        return self.spec.tells

    @property
    def needs(self) -> tuple[Request, ...]:
        return self.spec.needs


@dataclass(frozen=True)
class LoadedExtractor(_Described):
    """A spec with its weights in memory.

    It takes the samples of a batch one by one. Batched matrix products round otherwise than single ones, so that a
    vector would depend on its neighbours; a post is already a batch of frames, so little speed is lost.
    """

    encode: Encode

    def __call__(self, batch: Sequence[Sample]) -> Sequence[Answer]:
        """One vector for each sample, the same whatever else is in the batch."""
        return [self.encode(sample) for sample in batch]


@dataclass(frozen=True)
class BatchedExtractor(_Described):
    """A spec with its weights on a GPU, which is idle unless it is given the pictures of several posts at once.

    A vector then depends on its neighbours, in its last digits: see `NetworkSpec.together`.
    """

    encode: Callable[[Sequence[Sample]], Sequence[Answer]]

    def __call__(self, batch: Sequence[Sample]) -> Sequence[Answer]:
        """One vector for each sample."""
        return self.encode(batch)


@dataclass(frozen=True)
class UnavailableExtractor(_Described):
    """An optional extractor whose weights cannot be had: every sample lacks its modality. `reason` says why."""

    reason: str

    def __call__(self, batch: Sequence[Sample]) -> Sequence[Answer]:
        """None for each sample."""
        return [None] * len(batch)
