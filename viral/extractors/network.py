"""What the extractors that are neural networks share: where weights come from, and how a network is run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt

from viral.errors import WeightsError
from viral.extractors.extractor import Extractor, Sample, Vector
from viral.extractors.spec import BatchedExtractor, Encode, ExtractorSpec, Resolve
from viral.weights.manifest import digest_of
from viral.weights.pinned import split_pinned
from viral.weights.resolve import RANDOM, file_digest, find_known, identity_of, read_state_dict

if TYPE_CHECKING:
    import torch

Precision = Literal["float32", "bfloat16"]
"""`float32` gives the same vectors on every machine up to rounding. `bfloat16` is several times faster on CPUs with
AVX512-BF16 and on GPUs, and gives others: it is part of the fingerprint. It is never chosen by looking at the machine,
since then two nodes would fill one table with two kinds of vectors."""

_SEED = 0


@dataclass(frozen=True, kw_only=True)
class NetworkSpec(ExtractorSpec):
    """An extractor with a network. `weights` is a known name, `random`, or a file's path or URI.

    As it stands it is made for torchvision's networks: one file of weights, and a head that is a layer of its own.
    """

    weights: str
    precision: Precision = "float32"

    known: ClassVar[dict[str, str]]
    """The names that `weights` may take, each with its name in `KNOWN_WEIGHTS`."""
    head: ClassVar[str] = "fc"
    """The layer that names classes, which is taken off."""
    together: ClassVar[int] = 64
    """Frames or clips that go through the network at once: some GB of a GPU's memory."""
    mean: ClassVar[tuple[float, float, float]]
    std: ClassVar[tuple[float, float, float]]

    @property
    def version(self) -> str:
        """The revision; random weights say so."""
        return f"{self.revision}-{RANDOM}" if self.weights == RANDOM else self.revision

    def identity(self, resolve: Resolve) -> dict[str, Any]:
        """The parameters, with weights that have no name of their own named by the SHA-256 of their files."""
        _, digest = split_pinned(self.weights)
        if digest or self.weights == RANDOM or self.weights in self.known:
            return self.params() | {"weights": identity_of(self.weights, self.known, resolve)}
        files = {path.name: file_digest(path) for path in self.files(resolve)}
        return self.params() | {"weights": f"sha256:{digest_of(files)}"}

    def check(self, resolve: Resolve) -> None:
        """Make sure that the weights are there. Raises WeightsError."""
        if self.weights != RANDOM:
            self.files(resolve)

    def load(self, device: str, resolve: Resolve) -> Encode:
        """Make the network, fill it and put it onto `device`. Raises WeightsError."""
        network = self._loaded(device, resolve)
        return lambda sample: self.encoded(network, device, [sample])[0]

    def made(self, device: str, resolve: Resolve) -> Extractor:
        """On a CPU a post is batch enough; a GPU takes several posts together. Raises WeightsError."""
        if not device.startswith("cuda"):
            return super().made(device, resolve)
        return BatchedExtractor(self, partial(self.encoded, self._loaded(device, resolve), device))

    def encoded(self, network: torch.nn.Module, device: str, samples: Sequence[Sample]) -> list[Vector | None]:
        """The vector of each sample, up to `together` frames or clips a pass through the network."""
        import torch

        pixels = [self.pixels(sample) for sample in samples]
        counts = [0 if each is None else len(each) for each in pixels]
        if not any(counts):
            return [None] * len(samples)
        seen = np.concatenate([each for each in pixels if each is not None])
        with exactly(device, self.precision):
            batches = torch.split(torch.from_numpy(seen), self.together)
            features = torch.cat([self.features(network, batch.to(device)) for batch in batches])
            parts = torch.split(features, counts)
            return [self.pooled(part).cpu().numpy() if len(part) else None for part in parts]

    def pixels(self, sample: Sample) -> npt.NDArray[np.uint8] | None:
        """What the network is to see: uint8 (N, …, H, W, 3), or None where the sample has no pictures."""
        raise NotImplementedError

    def files(self, resolve: Resolve) -> tuple[Path, ...]:
        """The files of the weights on this machine, the one with the tensors last. Raises WeightsError."""
        known = self.known.get(self.weights)
        return (find_known(known, resolve) if known else resolve(self.weights),)

    def network(self) -> torch.nn.Module:
        """The network with its head, with weights drawn at random."""
        raise NotImplementedError

    def headless(self, resolve: Resolve) -> torch.nn.Module:
        """The network without its head, with weights drawn at random."""
        import torch

        network = self.network()
        network.set_submodule(self.head, torch.nn.Identity())
        return network

    def fitting(self, state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """The tensors of a file by their names in the network without its head."""
        return {key: value for key, value in state.items() if not key.startswith(f"{self.head}.")}

    def features(self, network: torch.nn.Module, pixels: torch.Tensor) -> torch.Tensor:
        """The features of frames or clips, uint8 (N, …, H, W, 3) to float32 (N, …); gradients pass."""
        features: torch.Tensor = network(self._normalised(pixels)).float()
        return features

    def pooled(self, features: torch.Tensor) -> torch.Tensor:
        """One vector (dim,) from what the network made of a post's frames or clips, (N, …)."""
        return features.mean(0)

    def stored(self, state: Mapping[str, torch.Tensor], resolve: Resolve) -> bytes:
        """The tensors of a network without its head, which was made from this spec, as a file for `weights`."""
        from safetensors.torch import save

        data: bytes = save({name: each.contiguous() for name, each in state.items()})
        return data

    def _loaded(self, device: str, resolve: Resolve) -> torch.nn.Module:
        return self.filled(resolve).eval().requires_grad_(False).to(device)

    def filled(self, resolve: Resolve) -> torch.nn.Module:
        """The network without its head, its weights as the spec says. Raises WeightsError."""
        import torch

        # The random weights are the same everywhere, and the caller's random numbers stay as they were.
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(_SEED)
            network = self.headless(resolve)
        if self.weights == RANDOM:
            return network
        path = self.files(resolve)[-1]
        state = self.fitting(read_state_dict(path))
        try:
            network.load_state_dict(state)
        except RuntimeError as error:
            lines = str(error).splitlines()
            raise WeightsError(f"the weights at {path} are not those of a {self.name}: {lines[1].strip()}") from error
        return network

    def _normalised(self, pixels: torch.Tensor) -> torch.Tensor:
        import torch

        mean, std = (torch.tensor(each, device=pixels.device) * 255 for each in (self.mean, self.std))
        # Channels go first by a view alone: memory stays channels-last, the faster order.
        return ((pixels.float() - mean) / std).movedim(-1, 1)


@contextmanager
def exactly(device: str, precision: Precision) -> Iterator[None]:
    """Without gradients, in that precision, and on a GPU without TF32 or algorithms picked by timing."""
    import torch

    with ExitStack() as stack:
        stack.enter_context(torch.inference_mode())
        if device.startswith("cuda"):
            stack.enter_context(torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False))
        if precision == "bfloat16":
            stack.enter_context(torch.autocast(torch.device(device).type, torch.bfloat16))
        yield
