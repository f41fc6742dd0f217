"""What the extractors share that are video transformers of the `transformers` library."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import numpy as np
import numpy.typing as npt
from pydantic import Field

from viral.errors import ConfigError, WeightsError
from viral.extractors.extractor import Sample
from viral.extractors.network import NetworkSpec
from viral.extractors.spec import Resolve
from viral.media.requests import Clips
from viral.weights.resolve import RANDOM, find_known

if TYPE_CHECKING:
    import torch

_CONFIG = "config.json"
_STORED = ".safetensors"
_TENSORS = ("model.safetensors", "pytorch_model.bin")
_SIDE = 224
_HEAD = 64
"""The width of an attention head of the published models."""
_LEFT_OUT = ("classifier.", "pooler.", "decoder.", "encoder_to_decoder.", "mask_token")
"""What a file holds besides the encoder: heads that name classes, and what only pretraining used."""


@dataclass(frozen=True, kw_only=True)
class VideoTransformerSpec(NetworkSpec):
    """A video transformer over `clips` clips that begin at key frames, kept as `tokens` tokens in time.

    With one token a post is the mean over its clips of what the model's classifier would see. With N, all that was
    seen is cut into N equal parts in time, and each is the mean of its patches; a video too short for as many steps
    repeats them.

    `weights` is a known name, `random`, or a folder (its path or URI) with `config.json` and the weights, as
    `model.safetensors` or `pytorch_model.bin`; or one safetensors file as `stored` writes it, with the config in its
    metadata. The sizes are those of the config. `width`, the length of a token, must be its `hidden_size`: a feature
    set knows the length of its vectors without having the weights.
    """

    clips: Annotated[int, Field(ge=1)] = 3
    tokens: Annotated[int, Field(ge=1)] = 1
    width: Annotated[int, Field(ge=1)] = 768

    modality: ClassVar[str] = "video"
    together: ClassVar[int] = 8
    frames: ClassVar[int]
    """Frames of a clip."""
    step: ClassVar[float]
    """Seconds from one to the next."""
    resized: ClassVar[int]
    """The short side that frames are scaled to before the centre square of 224 is cut."""
    summary: ClassVar[bool]
    """Whether a token that stands for the whole clip comes first, which the classifier looks at."""

    @property
    def dim(self) -> int:
        """The tokens one after the other."""
        return self.tokens * self.width

    @property
    def needs(self) -> tuple[Clips]:
        """The clips, as squares of their centre."""
        side = (self.resized, self.resized)
        return (Clips(count=self.clips, frames=self.frames, step=self.step, size=side, choice="key", fit="crop"),)

    def pixels(self, sample: Sample) -> npt.NDArray[np.uint8] | None:
        """The clips, uint8 (C, T, 224, 224, 3)."""
        batch = sample.media.clips(self.needs[0]) if sample.media else None
        if batch is None:
            return None
        cut = slice((self.resized - _SIDE) // 2, (self.resized + _SIDE) // 2)
        return np.ascontiguousarray(batch.data[:, :, cut, cut])

    def files(self, resolve: Resolve) -> tuple[Path, ...]:
        """The config and the tensors, which may be one file. Raises WeightsError."""
        if self.weights in self.known:
            folder = find_known(self.known[self.weights], resolve)
            return (folder / _CONFIG, next(folder / name for name in _TENSORS if (folder / name).is_file()))
        if self.weights.partition("#")[0].endswith(_STORED):
            return (resolve(self.weights),)
        return (self._file(resolve, _CONFIG), self._file(resolve, *_TENSORS))

    def config(self, given: Mapping[str, Any]) -> Any:
        """The model's config, from what its file says."""
        raise NotImplementedError

    def model(self, config: Any) -> torch.nn.Module:
        """The model of a config, without a head and with random weights."""
        raise NotImplementedError

    def norm(self, config: Any) -> torch.nn.Module:
        """What the head has before the layer that names classes."""
        raise NotImplementedError

    def headless(self, resolve: Resolve) -> torch.nn.Module:
        """The model and the norm of its head, with weights drawn at random. Raises WeightsError or ConfigError."""
        import torch

        given = self._given(resolve)
        try:
            config = self.config(given)
            self._make_sure_of(config)
            return torch.nn.ModuleDict({"model": self.model(config), "norm": self.norm(config)})
        except (ArithmeticError, AttributeError, KeyError, RuntimeError, TypeError, ValueError) as error:
            said = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise WeightsError(f"no {self.name} can be made of the config of {self.weights}: {said}") from error

    def fitting(self, state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """The tensors of a file by their names in the network."""
        if all(key.startswith(("model.", "norm.")) for key in state):
            return dict(state)
        kept = {key.removeprefix(f"{self.name}."): value for key, value in state.items()}
        kept = {key: value for key, value in kept.items() if not key.startswith(_LEFT_OUT)}
        return {
            f"norm.{key.removeprefix('fc_norm.')}" if key.startswith("fc_norm.") else f"model.{key}": value
            for key, value in kept.items()
        }

    def stored(self, state: Mapping[str, torch.Tensor], resolve: Resolve) -> bytes:
        """The tensors and the config of a network that was made from this spec, as a file for `weights`."""
        from safetensors.torch import save

        config = json.dumps(self._given(resolve), sort_keys=True)
        data: bytes = save({key: each.contiguous() for key, each in state.items()}, metadata={_CONFIG: config})
        return data

    def features(self, network: torch.nn.Module, pixels: torch.Tensor) -> torch.Tensor:
        """Of clips, uint8 (C, T, 224, 224, 3), a token for each step in time (C, S, width), or one for all of them."""
        model, norm = (network.get_submodule(part) for part in ("model", "norm"))
        states = model(self._normalised(pixels).movedim(1, 2)).last_hidden_state
        first = int(self.summary)
        if self.tokens == 1 and self.summary:
            tokens = states[:, :first]
        else:
            steps = 1 if self.tokens == 1 else self._steps(model.config)
            tokens = states[:, first:].reshape(len(states), steps, -1, self.width).mean(2)
        normed: torch.Tensor = norm(tokens).float()
        return normed

    def pooled(self, features: torch.Tensor) -> torch.Tensor:
        """The tokens of a post (tokens · width,) from those of its clips (C, S, width)."""
        from torch.nn.functional import adaptive_avg_pool1d

        return adaptive_avg_pool1d(features.flatten(0, 1).T, self.tokens).T.flatten()

    def _given(self, resolve: Resolve) -> dict[str, Any]:
        """The config as its file has it; of random weights, one of the published depth and of this width."""
        if self.weights != RANDOM:
            return _read(self.files(resolve)[0], self.name)
        heads = self.width // _HEAD if self.width % _HEAD == 0 else 1
        sizes = {"hidden_size": self.width, "intermediate_size": 4 * self.width, "num_attention_heads": heads}
        return {"model_type": self.name, **sizes}

    def _file(self, resolve: Resolve, *names: str) -> Path:
        for name in names:
            try:
                return resolve(f"{self.weights.rstrip('/')}/{name}")
            except WeightsError as error:
                cause = error
        wanted = f"{_CONFIG} and {' or '.join(_TENSORS)}"
        raise WeightsError(f"{self.weights} is no folder with the {wanted} of a {self.name}: {cause}") from cause

    def _steps(self, config: Any) -> int:
        """How many steps in time the model makes of a clip."""
        tubelet = config.tubelet_size
        steps, rest = divmod(self.frames, tubelet if isinstance(tubelet, int) else tubelet[0])
        if rest:
            raise ValueError(f"its tubelet_size {tubelet} does not divide {self.frames} frames")
        return int(steps)

    def _make_sure_of(self, config: Any) -> None:
        expected = {"num_frames": self.frames, "image_size": _SIDE, "num_channels": 3, "hidden_size": self.width}
        for key, value in expected.items():
            if getattr(config, key) != value:
                fix = f": set {self.name}.width to it" if key == "hidden_size" else ""
                raise ValueError(f"its {key} is {getattr(config, key)}, not {value}{fix}")
        if self.tokens > (most := self.clips * self._steps(config)):
            raise ConfigError(
                f"{self.name}.tokens is {self.tokens}, and its {self.clips} clips have {most} steps in time: "
                f"ask for at most {most}, or for more clips"
            )


def _read(path: Path, kind: str) -> dict[str, Any]:
    from safetensors import SafetensorError, safe_open

    try:
        if path.suffix == _STORED:
            with safe_open(path, "np") as file:
                text = (file.metadata() or {}).get(_CONFIG, "null")
        else:
            text = path.read_text(encoding="utf-8")
        given = json.loads(text)
    except (OSError, SafetensorError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise WeightsError(f"cannot read {path}: {error}") from error
    if not isinstance(given, dict) or given.get("model_type") != kind:
        raise WeightsError(f"{path} holds no config of a {kind}")
    return given
