"""Base class of extractors with a neural network: weights, and inference."""

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
from viral.extractors.extractor import Extractor, PostInput, Vector
from viral.extractors.spec import BatchedExtractor, Encode, ExtractorSpec, Resolver
from viral.weights.manifest import combined_digest, file_digest
from viral.weights.pinned import split_pinned
from viral.weights.resolve import RANDOM, find_weights, read_state_dict, weights_identity

if TYPE_CHECKING:
    import torch

Precision = Literal["float32", "bfloat16"]
"""`float32` gives the same vectors on every machine up to rounding. `bfloat16` is several times faster on CPUs with
AVX512-BF16 and on GPUs, and gives other vectors, so it is part of the fingerprint. It is never chosen automatically, or
two nodes might fill one table with both kinds."""

_SEED = 0  # of random weights, which must be the same on every machine


@dataclass(frozen=True, kw_only=True)
class NetworkSpec(ExtractorSpec):
    """An extractor with a network. `weights` is a name in `pretrained`, `random`, or a file's path or URI.

    The default methods fit torchvision's networks: one file of weights, and a head that is a single layer.
    """

    weights: str
    precision: Precision = "float32"

    pretrained: ClassVar[dict[str, str]]
    """Allowed names for `weights`, each with its name in `CATALOGUE`."""
    head: ClassVar[str] = "fc"
    """The classification layer, which is removed."""
    batch_size: ClassVar[int] = 64
    """Frames or clips per forward pass on a GPU; takes some GB of memory."""
    cpu_batch_size: ClassVar[int] = 64
    """The same on a CPU."""
    foldable: ClassVar[bool] = False
    """Whether the network can run as a `FoldedNetwork`, which it then does on a CPU."""
    mean: ClassVar[tuple[float, float, float]]
    std: ClassVar[tuple[float, float, float]]

    @property
    def version(self) -> str:
        """The revision, with a suffix for random weights."""
        return f"{self.revision}-{RANDOM}" if self.weights == RANDOM else self.revision

    def identity(self, resolve: Resolver) -> dict[str, Any]:
        """The parameters; weights without a name are identified by the SHA-256 of their files."""
        _, digest = split_pinned(self.weights)
        if digest or self.weights == RANDOM or self.weights in self.pretrained:
            return self.params() | {"weights": weights_identity(self.weights, self.pretrained, resolve)}
        files = {path.name: file_digest(path) for path in self.files(resolve)}
        return self.params() | {"weights": f"sha256:{combined_digest(files)}"}

    def check(self, resolve: Resolver) -> None:
        """Check that the weights are available. Raises WeightsError."""
        if self.weights != RANDOM:
            self.files(resolve)

    def load(self, device: str, resolve: Resolver) -> Encode:
        """Load the network with its weights onto `device`. Raises WeightsError."""
        network = self._load_for_inference(device, resolve)
        return lambda post: self.encode_batch(network, device, [post])[0]

    def build(self, device: str, resolve: Resolver) -> Extractor:
        """Encode post by post on a CPU, several posts per pass on a GPU. Raises WeightsError."""
        if not device.startswith("cuda"):
            return super().build(device, resolve)
        return BatchedExtractor(self, partial(self.encode_batch, self._load_for_inference(device, resolve), device))

    def encode_batch(self, network: torch.nn.Module, device: str, posts: Sequence[PostInput]) -> list[Vector | None]:
        """Return the vector of each post, with up to `batch_size` frames or clips per forward pass."""
        import torch

        pixels = [self.pixels(post) for post in posts]
        counts = [0 if images is None else len(images) for images in pixels]
        if not any(counts):
            return [None] * len(posts)
        # Frames of several posts share a forward pass, and are taken apart again by `counts`.
        inputs = np.concatenate([images for images in pixels if images is not None])
        batch_size = self.batch_size if device.startswith("cuda") else self.cpu_batch_size
        with inference(device, self.precision):
            batches = torch.split(torch.from_numpy(inputs), batch_size)
            features = torch.cat([self.features(network, batch.to(device)) for batch in batches])
            per_post = torch.split(features, counts)
            return [self.pool(part).cpu().numpy() if len(part) else None for part in per_post]

    def pixels(self, post: PostInput) -> npt.NDArray[np.uint8] | None:
        """Return the input of the network, uint8 (N, …, H, W, 3); None if the post has no video."""
        raise NotImplementedError

    def files(self, resolve: Resolver) -> tuple[Path, ...]:
        """Return the local files of the weights, the one with the tensors last. Raises WeightsError."""
        name = self.pretrained.get(self.weights)
        return (find_weights(name, resolve) if name else resolve(self.weights),)

    def network(self) -> torch.nn.Module:
        """Create the network with its head and random weights."""
        raise NotImplementedError

    def build_backbone(self, resolve: Resolver) -> torch.nn.Module:
        """Create the network without its head, with random weights."""
        import torch

        network = self.network()
        # The classes are of no use here; what comes before them describes the picture.
        network.set_submodule(self.head, torch.nn.Identity())
        return network

    def adapt_state_dict(self, state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Select the backbone's tensors in a published file, and rename them if necessary."""
        return {key: value for key, value in state.items() if not key.startswith(f"{self.head}.")}

    def features(self, network: torch.nn.Module, pixels: torch.Tensor) -> torch.Tensor:
        """Compute the features of frames or clips: uint8 (N, …, H, W, 3) to float32 (N, …). Differentiable."""
        features: torch.Tensor = network(self._normalised(pixels)).float()
        return features

    def pool(self, features: torch.Tensor) -> torch.Tensor:
        """Pool the features of a post's frames or clips, (N, …), into one vector (dim,)."""
        return features.mean(0)

    def serialize(self, state: Mapping[str, torch.Tensor], resolve: Resolver) -> bytes:
        """Serialise the tensors of this spec's backbone as a file that `weights` can name."""
        from safetensors.torch import save

        data: bytes = save({name: tensor.contiguous() for name, tensor in state.items()})
        return data

    def _load_for_inference(self, device: str, resolve: Resolver) -> torch.nn.Module:
        import torch

        network = self.load_network(resolve).eval().requires_grad_(False).to(device)
        if not self.foldable or device.startswith("cuda"):
            return network
        from viral.extractors.folded_network import FoldedNetwork

        return FoldedNetwork(network, getattr(torch, self.precision))

    def load_network(self, resolve: Resolver) -> torch.nn.Module:
        """Return the backbone with the weights of the spec. Raises WeightsError."""
        import torch

        # A fixed seed gives the same random weights everywhere; fork_rng preserves the caller's random state.
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(_SEED)
            network = self.build_backbone(resolve)
        if self.weights == RANDOM:
            return network
        path = self.files(resolve)[-1]
        state = self.adapt_state_dict(read_state_dict(path))
        try:
            network.load_state_dict(state)
        except RuntimeError as error:
            lines = str(error).splitlines()
            raise WeightsError(f"the weights at {path} do not fit a {self.name}: {lines[1].strip()}") from error
        return network

    def _normalised(self, pixels: torch.Tensor) -> torch.Tensor:
        import torch

        mean, std = (torch.tensor(rgb, device=pixels.device) * 255 for rgb in (self.mean, self.std))
        # movedim returns a view: memory stays channels-last, which is faster.
        return ((pixels.float() - mean) / std).movedim(-1, 1)


@contextmanager
def inference(device: str, precision: Precision) -> Iterator[None]:
    """Enable inference mode in a precision; on a GPU, disable TF32 and use deterministic algorithms."""
    import torch

    with ExitStack() as stack:
        stack.enter_context(torch.inference_mode())
        if device.startswith("cuda"):
            stack.enter_context(torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False))
        if precision == "bfloat16":
            stack.enter_context(torch.autocast(torch.device(device).type, torch.bfloat16))
        yield
