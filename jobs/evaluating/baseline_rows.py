"""The vectors that baselines look at, beside the rows of a scorecard: of all test posts, and of enough others."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from viral.evaluation.baselines.systems import SEEN
from viral.extractors.feature_set import FeatureSet

METADATA = "metadata"
MAX_LEARNT = 20_000  # posts whose vectors are taken along to learn from: of `full` about 200 MB


def seen_by_baselines(feature_set: FeatureSet) -> tuple[str, ...]:
    """The columns that baselines look at: our own, not those of a foreign table that are called alike."""
    return tuple(spec.name for spec in feature_set.specs if spec.registered in (METADATA, *SEEN))


def with_vectors(narrow: pa.Table, rows: pa.Table, names: Sequence[str], bits: int) -> pa.Table:
    """One bucket's narrow rows with those columns of `rows`, null for training posts beyond a sample of them."""
    keep = min(1.0, MAX_LEARNT / max(1, rows.num_rows << bits))  # by hash, so that all buckets have about as many
    wanted = pa.array(
        [
            at if split == "test" or zlib.crc32(f"baseline {post}".encode()) < keep * 2**32 else None
            for at, (post, split) in enumerate(
                zip(*(rows[name].to_pylist() for name in ("post_id", "split")), strict=True)
            )
        ],
        pa.int64(),
    )
    for name in names:
        narrow = narrow.append_column(name, rows[name] if name == METADATA else rows[name].take(wanted))
    return narrow


def vectors_of(rows: pa.Table) -> Mapping[str, npt.NDArray[np.float32]]:
    """Those columns but the metadata as float32 (rows, dim), NaN where there is none."""
    return {name: _dense(rows[name]) for name in SEEN if name in rows.column_names}


def _dense(column: pa.ChunkedArray) -> npt.NDArray[np.float32]:
    vectors = column.combine_chunks()
    there = vectors.drop_null()
    flat = there.flatten().to_numpy(zero_copy_only=False)
    dim = max(1, len(flat) // max(1, len(there)))
    dense = np.full((len(vectors), dim), np.nan, np.float32)
    dense[np.asarray(pc.is_valid(vectors), dtype=bool)] = flat.reshape(len(there), dim)
    return dense
