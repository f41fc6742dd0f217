"""BERT over the tokens of several texts at once, with each vector independent of the other texts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

# Rows of every matrix product: one of fixed size sums in a fixed order, so a row does not depend on its neighbours.
# With 64, a batch takes 10 % longer and a single text, which fills one block, 5 ms less.
BLOCK_ROWS = 128
EPSILON = 1e-12  # of BERT's layer norms


@dataclass(frozen=True)
class Linear:
    """A linear layer with bfloat16 weights."""

    weight: torch.Tensor
    bias: torch.Tensor

    def __call__(self, states: torch.Tensor) -> torch.Tensor:
        """Apply the layer to (N, inputs), where N is a multiple of `BLOCK_ROWS`; the result is bfloat16."""
        import torch

        weight, bias, states = self.weight, self.bias, states.bfloat16()
        if states.device.type == "cpu" and not has_bfloat16():  # emulated, it would take ten times as long
            weight, bias, states = weight.float(), bias.float(), states.float()
        output = states.new_empty(len(states), len(weight))
        # Written into one output: concatenating the blocks would copy all of them.
        for block, rows in zip(torch.split(states, BLOCK_ROWS), torch.split(output, BLOCK_ROWS), strict=True):
            torch.addmm(bias, block, weight.t(), out=rows)
        return output.bfloat16()


@dataclass(frozen=True)
class Norm:
    """A layer norm in float32."""

    weight: torch.Tensor
    bias: torch.Tensor

    def __call__(self, states: torch.Tensor) -> torch.Tensor:
        """Normalise each row."""
        import torch

        normalised: torch.Tensor = torch.nn.functional.layer_norm(
            states.float(), self.weight.shape, self.weight, self.bias, EPSILON
        )
        return normalised


@dataclass(frozen=True)
class Layer:
    """A layer of BERT (Devlin et al. 2018, arXiv 1810.04805)."""

    heads: int
    attention_in: Linear
    """Queries, keys and values."""
    attention_out: Linear
    attention_norm: Norm
    widen: Linear
    narrow: Linear
    norm: Norm

    def __call__(self, states: torch.Tensor, lengths: Sequence[int]) -> torch.Tensor:
        """Compute the next states (N, D) of texts of ascending `lengths`, one after the other."""
        import torch

        states = self.attention_norm(states + self.attention_out(self._attend(self.attention_in(states), lengths)))
        return self.norm(states + self.narrow(torch.nn.functional.gelu(self.widen(states))))

    def _attend(self, projected: torch.Tensor, lengths: Sequence[int]) -> torch.Tensor:
        """Attend within each text; texts of one length go together, so that none needs padding."""
        import torch

        rows, width = projected.shape[0], projected.shape[1] // 3
        context, start = projected.new_zeros(rows, width), 0
        for length, group in groupby(lengths):
            count = len(list(group))
            stop = start + count * length
            parts = projected[start:stop].view(count, length, 3, self.heads, width // self.heads)
            query, key, value = parts.permute(2, 0, 3, 1, 4)
            attended = torch.nn.functional.scaled_dot_product_attention(query, key, value)
            context[start:stop] = attended.transpose(1, 2).reshape(-1, width)
            start = stop
        return context


def mean_states(layers: Sequence[Layer], embedded: torch.Tensor, lengths: Sequence[int]) -> torch.Tensor:
    """Return the mean of the last states of each text, scaled to unit length, (texts, D).

    Args:
        layers: the network.
        embedded: the embedded tokens (tokens, D) of all texts, one after the other.
        lengths: number of tokens of each text, ascending.
    """
    import torch

    # Rows of zeros fill the last block, so that every product has the same size.
    states = torch.nn.functional.pad(embedded, (0, 0, 0, -len(embedded) % BLOCK_ROWS))
    for layer in layers:
        states = layer(states, lengths)
    texts = torch.split(states[: len(embedded)], list(lengths))
    means = torch.stack([text.mean(0) for text in texts])
    return torch.nn.functional.normalize(means, dim=1)


@cache
def has_bfloat16() -> bool:
    """Whether this machine's processor multiplies bfloat16 matrices."""
    try:
        return "avx512_bf16" in Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return False
