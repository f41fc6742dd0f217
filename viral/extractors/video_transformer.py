"""Base class of extractors with a video transformer of the `transformers` library."""

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
from viral.extractors.extractor import PostInput
from viral.extractors.network import NetworkSpec
from viral.extractors.spec import Resolver
from viral.media.requests import Clips
from viral.weights.resolve import RANDOM, find_weights

if TYPE_CHECKING:
    import torch

_CONFIG = "config.json"
_SAFETENSORS = ".safetensors"
_TENSORS = ("model.safetensors", "pytorch_model.bin")
_SIDE = 224  # the input size of the published models
_HEAD = 64  # the width of their attention heads
_DROPPED = ("classifier.", "pooler.", "decoder.", "encoder_to_decoder.", "mask_token")
"""Prefixes of tensors outside the encoder: classification heads, and parts for pretraining."""


@dataclass(frozen=True, kw_only=True)
class VideoTransformerSpec(NetworkSpec):
    """A video transformer over `clips` clips that begin at key frames, pooled into `tokens` tokens in time.

    A single token is the mean over clips of the classifier's input. With N tokens, the time steps of all clips are
    divided into N equal parts, and a token is the mean of the patches of its part; a video with fewer time steps than
    tokens repeats some.

    `weights` is a name in `pretrained`, `random`, a folder (path or URI) with `config.json` and `model.safetensors` or
    `pytorch_model.bin`, or a safetensors file written by `serialize`, with the config in its metadata. Sizes come from
    the config. `width`, the length of a token, must equal its `hidden_size`; it is a parameter because a feature set
    must know its vector lengths without the weights.
    """

    clips: Annotated[int, Field(ge=1)] = 3
    tokens: Annotated[int, Field(ge=1)] = 1
    width: Annotated[int, Field(ge=1)] = 768  # of the published base models

    modality: ClassVar[str] = "video"
    batch_size: ClassVar[int] = 8  # a clip has up to 32 frames
    frames: ClassVar[int]
    """Frames per clip."""
    step: ClassVar[float]
    """Seconds between frames."""
    short_side: ClassVar[int]
    """The short side of frames before the centre crop of 224."""
    has_class_token: ClassVar[bool]
    """Whether the first token is a class token, the input of the classifier."""

    @property
    def dim(self) -> int:
        """Tokens times width."""
        return self.tokens * self.width

    @property
    def needs(self) -> tuple[Clips]:
        """Clips of centre squares."""
        size = (self.short_side, self.short_side)
        return (Clips(count=self.clips, frames=self.frames, step=self.step, size=size, choice="key", fit="crop"),)

    def pixels(self, post: PostInput) -> npt.NDArray[np.uint8] | None:
        """The clips, uint8 (C, T, 224, 224, 3)."""
        batch = post.media.clips(self.needs[0]) if post.media else None
        if batch is None:
            return None
        # The clips come as centre squares of `short_side`: cut out the centre that the network sees.
        crop = slice((self.short_side - _SIDE) // 2, (self.short_side + _SIDE) // 2)
        return np.ascontiguousarray(batch.data[:, :, crop, crop])

    def files(self, resolve: Resolver) -> tuple[Path, ...]:
        """The local files of the config and the tensors, possibly one file. Raises WeightsError."""
        if self.weights in self.pretrained:
            folder = find_weights(self.pretrained[self.weights], resolve)
            return (folder / _CONFIG, next(folder / name for name in _TENSORS if (folder / name).is_file()))
        if self.weights.partition("#")[0].endswith(_SAFETENSORS):
            return (resolve(self.weights),)
        return (self._file(resolve, _CONFIG), self._file(resolve, *_TENSORS))

    def model(self, config: Any) -> torch.nn.Module:
        """Create the model of a config without a head, with random weights."""
        raise NotImplementedError

    def norm(self, config: Any) -> torch.nn.Module:
        """Create the norm between the model and its classification layer; by default the identity."""
        import torch

        return torch.nn.Identity()

    def build_backbone(self, resolve: Resolver) -> torch.nn.Module:
        """Create the model and its norm with random weights. Raises WeightsError or ConfigError."""
        import torch
        from transformers.models.auto.configuration_auto import CONFIG_MAPPING

        values = self._config_values(resolve)
        try:
            config = CONFIG_MAPPING[self.name].from_dict(values)
            self._check_config(config)
            return torch.nn.ModuleDict({"model": self.model(config), "norm": self.norm(config)})
        except (ArithmeticError, AttributeError, KeyError, RuntimeError, TypeError, ValueError) as error:
            message = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise WeightsError(f"the config of {self.weights} does not fit a {self.name}: {message}") from error

    def adapt_state_dict(self, state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Select the backbone's tensors in a published file, and rename them."""
        # Written by `serialize`: the names are ours already.
        if all(key.startswith(("model.", "norm.")) for key in state):
            return dict(state)
        renamed = {key.removeprefix(f"{self.name}."): value for key, value in state.items()}
        return {
            f"norm.{key.removeprefix('fc_norm.')}" if key.startswith("fc_norm.") else f"model.{key}": value
            for key, value in renamed.items()
            if not key.startswith(_DROPPED)
        }

    def serialize(self, state: Mapping[str, torch.Tensor], resolve: Resolver) -> bytes:
        """Serialise the tensors and the config of this spec's backbone as a file that `weights` can name."""
        from safetensors.torch import save

        config = json.dumps(self._config_values(resolve), sort_keys=True)
        data: bytes = save({key: tensor.contiguous() for key, tensor in state.items()}, metadata={_CONFIG: config})
        return data

    def features(self, network: torch.nn.Module, pixels: torch.Tensor) -> torch.Tensor:
        """Compute tokens (C, S, width) of clips uint8 (C, T, 224, 224, 3): S is the number of time steps, or 1."""
        model, norm = (network.get_submodule(part) for part in ("model", "norm"))
        states = model(self._normalised(pixels).movedim(1, 2)).last_hidden_state
        first = int(self.has_class_token)
        if self.tokens == 1 and self.has_class_token:
            # What the classifier reads: the class token of each clip.
            tokens = states[:, :first]
        else:
            # Patches lie in the order time, row, column, so that equal parts of the sequence are time steps.
            steps = 1 if self.tokens == 1 else self._steps(model.config)
            tokens = states[:, first:].reshape(len(states), steps, -1, self.width).mean(2)
        normed: torch.Tensor = norm(tokens).float()
        return normed

    def pool(self, features: torch.Tensor) -> torch.Tensor:
        """Pool the tokens of a post's clips, (C, S, width), into its vector (tokens · width,)."""
        from torch.nn.functional import adaptive_avg_pool1d

        # The steps of all clips in their order, divided into `tokens` parts as equal as possible.
        return adaptive_avg_pool1d(features.flatten(0, 1).T, self.tokens).T.flatten()

    def _config_values(self, resolve: Resolver) -> dict[str, Any]:
        """Return the values of the config file; for random weights, the default depth with this width."""
        if self.weights != RANDOM:
            return _read(self.files(resolve)[0], self.name)
        heads = self.width // _HEAD if self.width % _HEAD == 0 else 1
        sizes = {"hidden_size": self.width, "intermediate_size": 4 * self.width, "num_attention_heads": heads}
        return {"model_type": self.name, **sizes}

    def _file(self, resolve: Resolver, *names: str) -> Path:
        for name in names:
            try:
                return resolve(f"{self.weights.rstrip('/')}/{name}")
            except WeightsError as error:
                cause = error
        expected = f"{_CONFIG} and {' or '.join(_TENSORS)}"
        raise WeightsError(f"{self.weights} is no folder with the {expected} of a {self.name}: {cause}") from cause

    def _steps(self, config: Any) -> int:
        """Return the number of time steps per clip; a tubelet spans several frames."""
        tubelet = config.tubelet_size
        steps, rest = divmod(self.frames, tubelet if isinstance(tubelet, int) else tubelet[0])
        if rest:
            raise ValueError(f"its tubelet_size {tubelet} does not divide {self.frames} frames")
        return int(steps)

    def _check_config(self, config: Any) -> None:
        expected = {"num_frames": self.frames, "image_size": _SIDE, "num_channels": 3, "hidden_size": self.width}
        for key, value in expected.items():
            if getattr(config, key) != value:
                fix = f": set {self.name}.width to it" if key == "hidden_size" else ""
                raise ValueError(f"its {key} is {getattr(config, key)}, not {value}{fix}")
        if self.tokens > (limit := self.clips * self._steps(config)):
            raise ConfigError(
                f"{self.name}.tokens is {self.tokens}, but {self.clips} clips have {limit} time steps: "
                f"set at most {limit} tokens, or more clips"
            )


def _read(path: Path, kind: str) -> dict[str, Any]:
    from safetensors import SafetensorError, safe_open

    try:
        if path.suffix == _SAFETENSORS:
            with safe_open(path, "np") as file:
                text = (file.metadata() or {}).get(_CONFIG, "null")
        else:
            text = path.read_text(encoding="utf-8")
        values = json.loads(text)
    except (OSError, SafetensorError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise WeightsError(f"cannot read {path}: {error}") from error
    if not isinstance(values, dict) or values.get("model_type") != kind:
        raise WeightsError(f"{path} is not a config of a {kind}")
    return values
