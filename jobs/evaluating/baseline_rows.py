"""Vectors for the baselines: of all test posts, and of a sample of the training posts."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from viral.evaluation.baselines.systems import EXTRACTORS
from viral.extractors.feature_set import FeatureSet

METADATA = "metadata"
MAX_TRAINING_POSTS = 20_000  # whose vectors are gathered; with the feature set `full` about 200 MB


def baseline_columns(feature_set: FeatureSet) -> tuple[str, ...]:
    """Vector columns that the baselines use: of viral's extractors, not imported ones of the same name."""
    return tuple(spec.name for spec in feature_set.specs if spec.registry_name in (METADATA, *EXTRACTORS))


def add_vectors(narrow: pa.Table, rows: pa.Table, names: Sequence[str], log2_buckets: int) -> pa.Table:
    """Append vector columns to the narrow rows of a bucket, null for training posts outside a sample."""
    # Of the whole table, estimated from this bucket: posts are spread by hash.
    sample_fraction = min(1.0, MAX_TRAINING_POSTS / max(1, rows.num_rows << log2_buckets))
    indices = pa.array(
        [
            # An index of null takes a null vector: the row stays, without the megabytes.
            row if split == "test" or zlib.crc32(f"baseline {post}".encode()) < sample_fraction * 2**32 else None
            for row, (post, split) in enumerate(
                zip(*(rows[name].to_pylist() for name in ("post_id", "split")), strict=True)
            )
        ],
        pa.int64(),
    )
    for name in names:
        # Metadata is a few numbers per post: all posts keep theirs.
        narrow = narrow.append_column(name, rows[name] if name == METADATA else rows[name].take(indices))
    return narrow


def read_vectors(rows: pa.Table) -> Mapping[str, npt.NDArray[np.float32]]:
    """Return the vector columns, without the metadata, as float32 (rows, dim); NaN where a post has none."""
    return {name: _dense(rows[name]) for name in EXTRACTORS if name in rows.column_names}


def _dense(column: pa.ChunkedArray) -> npt.NDArray[np.float32]:
    vectors = column.combine_chunks()
    present = vectors.drop_null()
    flat = present.flatten().to_numpy(zero_copy_only=False)
    # All vectors of a column have one length; without any vector, one column of NaN stands for it.
    dim = max(1, len(flat) // max(1, len(present)))
    dense = np.full((len(vectors), dim), np.nan, np.float32)
    dense[np.asarray(pc.is_valid(vectors), dtype=bool)] = flat.reshape(len(present), dim)
    return dense
