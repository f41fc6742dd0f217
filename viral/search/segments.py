"""Nearest vectors by faiss: a segment of an index, which is exact if it is small.

A large segment is an inverted file: its vectors lie in lists around centres, and a query looks into the nearest lists.
How many, is measured when it is built. faiss (MIT) was chosen over usearch (Apache-2.0): usearch's graph of 30,000
vectors of 1,280 numbers took 210 s on two busy cores where these lists take seconds, since matrix products make them.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]

EXACT_ROWS = 10_000  # up to which all vectors are compared: 50 MB of 1,280 numbers each, some 5 ms
MAX_ROWS = 131_072  # of a segment, which is built in memory: 700 MB of 1,280 numbers each
_ROWS_PER_LIST = 256  # sqrt(131,072) is 362; fewer rows cost more centres, more rows longer lists
_TRAINING_ROWS = 40  # per centre, faiss's own lower limit; more would not move the centres much
_ROUNDS = 8  # of k-means; faiss's default for inverted files is 10
_TARGET = 0.975  # recall at 10 of a segment's own vectors: 0.95 is wanted, and other examples lose a little more
_SAMPLE, _NEAREST = 200, 10  # queries that measure it
_FEWEST, _STEP = 8, 1.3  # lists that are tried first, and how many more each time


@dataclass(frozen=True)
class Segment:
    """A built segment: its index, how many lists a query looks into (0: all rows), and the recall that was measured."""

    index: Any
    probes: int
    recall: float


def build(blocks: Sequence[Floats]) -> Segment:
    """Build a segment of vectors (N, dim) of unit length, given in blocks."""
    faiss = load_faiss()
    rows, dim = sum(map(len, blocks)), blocks[0].shape[1]
    index = faiss.IndexFlatIP(dim)
    if rows > EXACT_ROWS:
        lists = rows // _ROWS_PER_LIST
        # A byte per number: its rounding changes a cosine by less than 0.001.
        kind, metric = faiss.ScalarQuantizer.QT_8bit, faiss.METRIC_INNER_PRODUCT
        index = faiss.IndexIVFScalarQuantizer(index, dim, lists, kind, metric, False)
        index.cp.niter = _ROUNDS
        index.train(_sample(blocks, lists * _TRAINING_ROWS))
    for block in blocks:
        index.add(np.ascontiguousarray(block))
    probes, recall = _probes(index, blocks) if rows > EXACT_ROWS else (0, 1.0)
    return Segment(index, probes, recall)


def _sample(blocks: Sequence[Floats], rows: int) -> Floats:
    """Evenly spaced rows of all blocks, at least so many if there are."""
    step = max(1, sum(map(len, blocks)) // rows)
    return np.concatenate([block[::step] for block in blocks])


def _probes(index: Any, blocks: Sequence[Floats]) -> tuple[int, float]:
    """Number of lists that give the target recall of the segment's own vectors, and the recall."""
    queries = _sample(blocks, _SAMPLE)[:_SAMPLE]
    # One more, since each query finds itself.
    count = _NEAREST + 1
    similarity = np.concatenate([queries @ block.T for block in blocks], axis=1)
    exact = np.argpartition(-similarity, count, axis=1)[:, :count]
    probes = min(_FEWEST, index.nlist)
    while True:
        found = _search(index, queries, count, probes, None)[1]
        pairs = zip(exact.tolist(), found.tolist(), strict=True)
        recall = float(np.mean([(len(set(near) & set(rows)) - 1) / _NEAREST for near, rows in pairs]))
        if recall >= _TARGET or probes == index.nlist:
            return probes, recall
        probes = min(round(_STEP * probes), index.nlist)


class OpenSegment:
    """A segment in a file, of which only what a query needs is read.

    Args:
        file: written by `write`.
        probes: lists that a query looks into.
        alive: mask of the rows that still count, (N,).
    """

    def __init__(self, file: Path, probes: int, alive: npt.NDArray[np.bool_]) -> None:
        faiss = load_faiss()
        self._index = faiss.read_index(str(file), faiss.IO_FLAG_MMAP)
        self._probes = probes
        self._bits = np.packbits(alive, bitorder="little")
        self._selector = None if alive.all() else faiss.IDSelectorBitmap(self._bits)

    def search(self, vector: Floats, count: int) -> tuple[Floats, Ints]:
        """Find the rows nearest to a vector (dim,) of unit length: cosines and rows, nearest first."""
        similarity, rows = _search(self._index, vector[None], count, self._probes, self._selector)
        found = rows[0] >= 0
        return similarity[0][found], rows[0][found]

    def vectors(self, rows: Ints) -> Floats:
        """Return the vectors of rows, (N, dim), up to their rounding."""
        if self._probes and self._index.direct_map.type == load_faiss().DirectMap.NoMap:
            self._index.make_direct_map()
        vectors: Floats = self._index.reconstruct_batch(rows)
        return vectors


def write(segment: Segment, file: Path) -> None:
    """Write the index of a segment to a local file."""
    load_faiss().write_index(segment.index, str(file))


def unit(vectors: Floats) -> Floats:
    """Scale vectors (N, dim) to unit length; one that has none, or is not finite, becomes all NaN."""
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        lengths = np.linalg.norm(vectors.astype(np.float64), axis=1, keepdims=True)
        usable = np.isfinite(lengths) & (lengths > 0)
        return np.where(usable, vectors / lengths, np.nan).astype(np.float32)


def load_faiss() -> Any:
    """Import faiss, whose wrappers make newer versions of Python warn."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        import faiss
    return faiss


def _search(index: Any, queries: Floats, count: int, probes: int, selector: Any) -> tuple[Floats, Ints]:
    faiss = load_faiss()
    options = {"sel": selector} if selector is not None else {}
    parameters = faiss.SearchParametersIVF(nprobe=probes, **options) if probes else faiss.SearchParameters(**options)
    similarity, rows = index.search(np.ascontiguousarray(queries), count, params=parameters)
    return similarity, rows
