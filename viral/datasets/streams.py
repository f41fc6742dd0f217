"""Feature columns as model inputs: one stream per extractor, with a presence mask."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from viral.errors import TableError
from viral.extractors.extractor import Vector
from viral.extractors.feature_set import FeatureSet

_RENAMED_MODALITIES = {"craft": "editing"}
"""Current name of a modality, by the name in models and imported features of earlier versions."""


@dataclass(frozen=True)
class Stream:
    """One input of a model: the column of an extractor, with vectors of `dim` values: `tokens` tokens of equal size.

    A `sparse` one lists identifiers, filled up with zeros: only models made for it read it.
    """

    name: str
    modality: str
    dim: int
    tokens: int = 1
    sparse: bool = False


@dataclass(frozen=True)
class Batch:
    """Posts as arrays: `vectors[name]` float32 (N, dim), zero where absent; `present` bool (N, streams)."""

    vectors: dict[str, npt.NDArray[np.float32]]
    present: npt.NDArray[np.bool_]

    def take(self, rows: npt.NDArray[np.int64]) -> Batch:
        """Select posts by row index."""
        return Batch({name: array[rows] for name, array in self.vectors.items()}, self.present[rows])


def concat(batches: Sequence[Batch]) -> Batch:
    """Concatenate the posts of several batches of the same streams."""
    if len(batches) == 1:
        return batches[0]
    vectors = {name: np.concatenate([batch.vectors[name] for batch in batches]) for name in batches[0].vectors}
    return Batch(vectors, np.concatenate([batch.present for batch in batches]))


def streams_of(feature_set: FeatureSet) -> tuple[Stream, ...]:
    """Return the streams of a feature set, in its order."""
    return tuple(Stream(s.name, _modality(s.modality), s.dim, s.tokens, s.sparse) for s in feature_set.specs)


def dense(streams: Sequence[Stream]) -> tuple[Stream, ...]:
    """Return the streams whose vectors are numbers."""
    return tuple(stream for stream in streams if not stream.sparse)


def from_table(streams: Sequence[Stream], rows: pa.Table) -> Batch:
    """Convert the vector columns of a feature table. Raises TableError for vectors of another length than `dim`."""
    columns = [rows[stream.name].combine_chunks() for stream in streams]
    vectors = {stream.name: _dense(column, stream) for stream, column in zip(streams, columns, strict=True)}
    present = [_present(column) for column in columns]
    return Batch(vectors, np.stack(present, axis=1))


def from_vectors(streams: Sequence[Stream], rows: Sequence[Mapping[str, Vector | Sequence[float] | None]]) -> Batch:
    """Convert the extractors' vectors of each post. Raises TableError as `from_table` does."""
    present = np.zeros((len(rows), len(streams)), bool)
    vectors = {stream.name: np.zeros((len(rows), stream.dim), np.float32) for stream in streams}
    for column, stream in enumerate(streams):
        dense = vectors[stream.name]
        for index, row in enumerate(rows):
            vector = row.get(stream.name)
            if vector is None:
                continue
            if len(vector) != stream.dim:
                raise _length_error(stream)
            dense[index], present[index, column] = vector, True
    return Batch(vectors, present)


def from_dict(streams: Sequence[Mapping[str, Any]]) -> tuple[Stream, ...]:
    """Restore streams from `dataclasses.asdict`."""
    return tuple(Stream(**{**stream, "modality": _modality(stream["modality"])}) for stream in streams)


def _modality(name: str) -> str:
    return _RENAMED_MODALITIES.get(name, name)


def _present(column: pa.Array) -> npt.NDArray[np.bool_]:
    if not column.null_count:
        return np.ones(len(column), bool)
    return np.asarray(pc.is_valid(column), dtype=bool)


def _dense(column: pa.Array, stream: Stream) -> npt.NDArray[np.float32]:
    if column.type == pa.list_(pa.float32(), stream.dim) and not column.null_count:
        return np.array(column.flatten().to_numpy(zero_copy_only=False)).reshape(-1, stream.dim)
    dense = np.zeros((len(column), stream.dim), np.float32)
    present = column.drop_null()
    # Checked before the values are written: a vector of another length would shift all that follow.
    if not pc.all(pc.equal(pc.list_value_length(present), stream.dim), min_count=0).as_py():
        raise _length_error(stream)
    values = present.flatten().to_numpy(zero_copy_only=False)
    dense[_present(column)] = values.reshape(-1, stream.dim)
    return dense


def _length_error(stream: Stream) -> TableError:
    return TableError(f"a vector of {stream.name} does not have {stream.dim} values: it belongs to another feature set")
