"""The rows that a scorecard is made of, gathered bucket by bucket on the cluster, and what is read out of them."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from jobs.evaluating.baseline_rows import vectors_of, with_vectors
from jobs.runtime.buckets import map_buckets
from jobs.scoring.loaded import loaded_scorer, prediction_row
from viral.datasets.labelled_features import LabelledFeatures
from viral.datasets.streams import from_table
from viral.evaluation.ablation import masked, subsets
from viral.evaluation.baselines.baselines import Inputs
from viral.evaluation.groups import UNKNOWN
from viral.evaluation.splits import PARTS, author_codes
from viral.extractors.metadata import METADATA_COLUMNS
from viral.extractors.wording import language_teller
from viral.scoring.scorer import Scorer
from viral.storage.store import Store
from viral.tables.bucketed import BucketedTable
from viral.tables.places import posts_table
from viral.tables.schemas import PREDICTIONS

MAX_POSTS = 400_000  # judged on this machine, about 500 bytes each; of more, a sample that the posts' hash decides
MAX_ABLATED = 100_000  # of those, so many, and of these the test posts, are scored once more for each set of modalities
_OF_POSTS = ("caption", "duration_seconds", "author_followers", "video_uri")


@dataclass(frozen=True)
class Gathering:
    """What each bucket's task does.

    Attributes:
        data: the features and labels.
        posts: the posts table.
        model: `name/version`.
        log2_buckets: as a power of two, the buckets.
        keep: the share of the posts that is judged.
        again: the share of those that is scored once more for every set of modalities.
    """

    data: LabelledFeatures
    posts: BucketedTable
    model: str
    log2_buckets: int
    keep: float
    again: float

    def __call__(self, bucket: int) -> pa.Table:
        """One bucket's narrow rows."""
        rows = self.data.read(self.log2_buckets, bucket, PARTS)
        if self.keep < 1:
            rows = rows.filter(pa.array(_drawn("evaluate", ids_of(rows), self.keep)))
        scorer = loaded_scorer(self.data.features.store.root, self.model)
        narrow = with_predictions(scorer, rows, self._beside(rows, bucket))
        drawn = _drawn("ablate", ids_of(rows), self.again) & _tested(rows)
        narrow = narrow.append_column("masked", said_when_masked(scorer, rows, drawn))
        return narrow.append_column("language", _languages(narrow))

    def _beside(self, rows: pa.Table, bucket: int) -> pa.Table:
        """The rows without vectors, with what the baselines and the page look at."""
        known = self.posts.read(self.log2_buckets, bucket, ["post_id", *_OF_POSTS])
        known = known.take(pc.index_in(rows["post_id"], known["post_id"]))
        vectors = {*(stream.name for stream in self.data.streams), *self.data.beside}
        narrow = rows.drop_columns(sorted(vectors))
        for name in _OF_POSTS:
            narrow = narrow.append_column(name, known[name])
        return with_vectors(narrow, rows, self.data.beside, self.log2_buckets)


def gather(store: Store, data: LabelledFeatures, model: str) -> pa.Table:
    """The labelled posts of all splits, with what the baselines look at, and the model's word on the test posts."""
    log2_buckets = data.log2_buckets()
    total = max(1, data.labels.stored_rows())
    keep = min(1.0, MAX_POSTS / total)
    work = Gathering(data, posts_table(store), model, log2_buckets, keep, min(1.0, MAX_ABLATED / (keep * total)))
    return pa.concat_tables(map_buckets(work, log2_buckets), promote_options="default")


def ids_of(rows: pa.Table) -> list[str]:
    """The posts, in order."""
    ids: list[str] = rows["post_id"].to_pylist()
    return ids


def with_predictions(scorer: Scorer, rows: pa.Table, narrow: pa.Table) -> pa.Table:
    """The narrow rows with the columns of predictions, null outside the test split."""
    tested = np.flatnonzero(_tested(rows))
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


def said_when_masked(scorer: Scorer, rows: pa.Table, drawn: npt.NDArray[np.bool_]) -> pa.Array:
    """P(viral) and score for each of `masks` in turn, as one list a row; NaN where nothing is left, null if not drawn.

    Args:
        scorer: the model.
        rows: posts with their vectors.
        drawn: (rows,), which of them.
    """
    shown = masks(scorer)
    batch = from_table(scorer.streams, rows).take(np.flatnonzero(drawn))
    said = np.full((len(batch.present), len(shown), 2), np.nan)
    for at, names in enumerate(shown):
        less = masked(batch, scorer.streams, names)
        left = np.flatnonzero(less.present.any(axis=1))
        if len(left):
            told = scorer.said(less.take(left))
            said[left, at] = np.stack([told.probability, told.score], axis=1)
    lists = iter(said.reshape(len(said), -1))
    return pa.array([next(lists) if there else None for there in drawn], pa.list_(pa.float64()))


def masks(scorer: Scorer) -> tuple[tuple[str, ...], ...]:
    """The sets of modalities that a model is shown in turn."""
    return subsets(tuple(dict.fromkeys(stream.modality for stream in scorer.streams)))


def _drawn(what: str, posts: Sequence[str], share: float) -> npt.NDArray[np.bool_]:
    """Which posts a draw takes that their hash decides; each `what` is another draw."""
    return np.array([zlib.crc32(f"{what} {post}".encode()) < share * 2**32 for post in posts], dtype=bool)


def _tested(rows: pa.Table) -> npt.NDArray[np.bool_]:
    tested: npt.NDArray[np.bool_] = rows["split"].to_numpy() == "test"
    return tested


def _languages(narrow: pa.Table) -> pa.Array:
    """The language of each test post's caption, null where it has none."""
    captions = narrow["caption"].to_pylist()
    tested = [bool(caption and there) for caption, there in zip(captions, _tested(narrow), strict=True)]
    tell = _teller() if any(tested) else None
    told = [
        (tell(caption) or UNKNOWN) if tell and there else None for caption, there in zip(captions, tested, strict=True)
    ]
    return pa.array(told, pa.string())


@cache
def _teller() -> Callable[[str], str | None]:
    """One load a worker process."""
    return language_teller()


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
        captions=rows["caption"].to_pylist(),
        vectors=vectors_of(rows),
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
