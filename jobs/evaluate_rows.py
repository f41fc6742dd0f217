"""The rows that a scorecard is made of, gathered bucket by bucket on the cluster, and what is read out of them."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from jobs.buckets import over_buckets
from jobs.ingest import posts_table
from jobs.score import loaded_scorer, prediction_row
from viral.dataset import LabelledFeatures
from viral.evaluation.baselines import Inputs
from viral.evaluation.splits import PARTS, author_codes
from viral.extractors.metadata import METADATA_COLUMNS
from viral.models.streams import from_table
from viral.parts import Parts
from viral.scorer import Scorer
from viral.store import Store
from viral.tables import PREDICTIONS

MAX_POSTS = 400_000  # judged on this machine, about 500 bytes each; of more, a sample that the posts' hash decides


def gather(store: Store, data: LabelledFeatures, model: str) -> pa.Table:
    """The labelled posts of all splits, with what the baselines look at, and the model's word on the test posts."""
    bits = data.bits()
    total = sum(part.rows for part in data.labels.parts())
    keep = min(1.0, MAX_POSTS / max(1, total))
    work = partial(_gather_bucket, data, posts_table(store), model, bits, keep)
    return pa.concat_tables([row["it"] for row in over_buckets(work, bits)], promote_options="default")


def _gather_bucket(
    data: LabelledFeatures, posts: Parts, model: str, bits: int, keep: float, bucket: int
) -> dict[str, Any]:
    rows = data.read(bits, bucket, PARTS)
    if keep < 1:
        rows = rows.filter(pa.array([zlib.crc32(f"evaluate {post}".encode()) < keep * 2**32 for post in ids_of(rows)]))
    known = posts.read(bits, bucket, ["post_id", "caption", "duration_seconds", "author_followers"])
    known = known.take(pc.index_in(rows["post_id"], known["post_id"]))
    vectors = {*(stream.name for stream in data.streams), *data.beside}
    narrow = rows.drop_columns(sorted(vectors))
    for name in ("caption", "duration_seconds", "author_followers"):
        narrow = narrow.append_column(name, known[name])
    if "metadata" in data.beside:
        narrow = narrow.append_column("metadata", rows["metadata"])
    return {"it": _with_predictions(loaded_scorer(data.features.store.root, model), rows, narrow)}


def ids_of(rows: pa.Table) -> list[str]:
    """The posts, in order."""
    ids: list[str] = rows["post_id"].to_pylist()
    return ids


def _with_predictions(scorer: Scorer, rows: pa.Table, narrow: pa.Table) -> pa.Table:
    """The narrow rows with the columns of predictions, null outside the test split."""
    tested = np.flatnonzero(rows["split"].to_numpy() == "test")
    scored = scorer.score_batch(from_table(scorer.streams, rows).take(tested)) if len(tested) else []
    ids = ids_of(rows)
    said = {int(at): prediction_row(ids[at], each) for at, each in zip(tested, scored, strict=True)}
    nothing = dict.fromkeys(PREDICTIONS.names)
    filled = [said.get(at, nothing) for at in range(len(ids))]
    columns = pa.schema([each.with_nullable(True) for each in PREDICTIONS if each.name not in ("post_id", "model")])
    predictions = pa.Table.from_pylist(filled, schema=columns)
    for name in columns.names:
        narrow = narrow.append_column(columns.field(name), predictions[name])
    return narrow


def inputs_of(rows: pa.Table) -> Inputs:
    """What the baselines look at."""
    metadata = _metadata(rows)
    duration = _floats(rows["duration_seconds"])
    if metadata is not None:
        seen = metadata[:, METADATA_COLUMNS.index("duration_seconds")]
        duration = np.where(np.isfinite(duration), duration, seen)
    posted = _floats(rows["posted_at"].cast(pa.int64())) / 3.6e9  # hours since 1970
    return Inputs(
        y=_floats(rows["target"]),
        is_viral=rows["is_viral"].to_numpy(zero_copy_only=False),
        duration=duration,
        followers=_floats(rows["author_followers"]),
        hour=posted % 24,
        authors=author_codes(rows),
        posted_at=posted,
        metadata=metadata,
    )


def _metadata(rows: pa.Table) -> npt.NDArray[np.float32] | None:
    """The metadata vectors (N, columns), NaN where a post has none; None where the feature set has none."""
    if "metadata" not in rows.column_names:
        return None
    absent = [float("nan")] * len(METADATA_COLUMNS)
    return np.array([vector or absent for vector in rows["metadata"].to_pylist()], np.float32)


def _floats(column: pa.ChunkedArray) -> npt.NDArray[np.float64]:
    values: npt.NDArray[np.float64] = column.cast(pa.float64()).to_numpy(zero_copy_only=False)
    return values


def shares_of(tested: pa.Table) -> Mapping[str, npt.NDArray[np.float64]]:
    """Each modality's share in each prediction (rows,), NaN where the post has none of it."""
    found = [dict(each) for each in tested["shares"].to_pylist()]
    names = list(dict.fromkeys(name for each in found for name in each))
    return {name: np.array([each.get(name, np.nan) for each in found]) for name in names}
