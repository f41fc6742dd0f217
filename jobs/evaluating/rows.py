"""Gather the rows of a scorecard, bucket by bucket on the cluster, and read columns out of them."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from jobs.evaluating.baseline_rows import add_vectors, read_vectors
from jobs.runtime.buckets import map_buckets
from jobs.scoring.loaded import loaded_scorer, prediction_row
from viral.datasets.labelled_features import LabelledFeatures
from viral.datasets.streams import from_table
from viral.evaluation.ablation import mask_modalities, modality_subsets
from viral.evaluation.baselines.baselines import Inputs
from viral.evaluation.groups import UNKNOWN
from viral.evaluation.splits import PARTS, author_codes
from viral.extractors.metadata import METADATA_COLUMNS
from viral.extractors.wording import language_detector
from viral.scoring.scorer import Scorer
from viral.storage.store import Store
from viral.tables.bucketed import BucketedTable
from viral.tables.places import posts_table
from viral.tables.schemas import PREDICTIONS

MAX_POSTS = 400_000  # gathered in the driver, about 500 bytes each; of more, a sample drawn by hash
MAX_ABLATED = 100_000  # posts in the draw for the ablation, which scores its test posts once per subset of modalities
_POST_COLUMNS = ("caption", "duration_seconds", "author_followers", "video_uri")


@dataclass(frozen=True)
class GatherBucket:
    """Task that gathers the rows of one bucket.

    Attributes:
        data: the features and labels.
        posts: the posts table.
        model: `name/version`.
        log2_buckets: number of buckets, as a power of two.
        sample_fraction: fraction of the posts that is evaluated.
        ablated_fraction: fraction of these that is scored once more per subset of modalities.
    """

    data: LabelledFeatures
    posts: BucketedTable
    model: str
    log2_buckets: int
    sample_fraction: float
    ablated_fraction: float

    def __call__(self, bucket: int) -> pa.Table:
        """Return the bucket's rows, without the vectors of the model's inputs."""
        rows = self.data.read(self.log2_buckets, bucket, PARTS)
        if self.sample_fraction < 1:
            rows = rows.filter(pa.array(_sampled("evaluate", post_ids(rows), self.sample_fraction)))
        scorer = loaded_scorer(self.data.features.store.root, self.model)
        # Scored here, where the vectors are: the driver only gets the rows without them.
        narrow = with_predictions(scorer, rows, self._narrow(rows, bucket))
        ablated = _sampled("ablate", post_ids(rows), self.ablated_fraction) & _is_test(rows)
        narrow = narrow.append_column("masked", predict_masked(scorer, rows, ablated))
        return narrow.append_column("language", _languages(narrow))

    def _narrow(self, rows: pa.Table, bucket: int) -> pa.Table:
        """Replace the vectors by the columns that the baselines and the page need."""
        posts = self.posts.read(self.log2_buckets, bucket, ["post_id", *_POST_COLUMNS])
        posts = posts.take(pc.index_in(rows["post_id"], posts["post_id"]))
        vectors = {*(stream.name for stream in self.data.streams), *self.data.extra_columns}
        narrow = rows.drop_columns(sorted(vectors))
        for name in _POST_COLUMNS:
            narrow = narrow.append_column(name, posts[name])
        return add_vectors(narrow, rows, self.data.extra_columns, self.log2_buckets)


def gather(store: Store, data: LabelledFeatures, model: str) -> pa.Table:
    """Gather the labelled posts of all splits: inputs of the baselines, and the model's predictions for test posts."""
    log2_buckets = data.log2_buckets()
    total = max(1, data.labels.stored_rows())
    fraction = min(1.0, MAX_POSTS / total)
    # A fraction of the posts that are evaluated, not of all: it is drawn independently of them.
    ablated = min(1.0, MAX_ABLATED / (fraction * total))
    work = GatherBucket(data, posts_table(store), model, log2_buckets, fraction, ablated)
    return pa.concat_tables(map_buckets(work, log2_buckets), promote_options="default")


def post_ids(rows: pa.Table) -> list[str]:
    """Return the post ids, in order."""
    ids: list[str] = rows["post_id"].to_pylist()
    return ids


def with_predictions(scorer: Scorer, rows: pa.Table, narrow: pa.Table) -> pa.Table:
    """Append the columns of the predictions table to `narrow`, null outside the test split."""
    test = np.flatnonzero(_is_test(rows))
    # Test posts only: the model has seen the others.
    scores = scorer.score_batch(from_table(scorer.streams, rows).take(test)) if len(test) else []
    ids = post_ids(rows)
    by_row = {int(row): prediction_row(ids[row], score) for row, score in zip(test, scores, strict=True)}
    empty = dict.fromkeys(PREDICTIONS.names)
    filled = [by_row.get(row, empty) for row in range(len(ids))]
    columns = pa.schema([field.with_nullable(True) for field in PREDICTIONS if field.name not in ("post_id", "model")])
    predictions = pa.Table.from_pylist(filled, schema=columns)
    for name in columns.names:
        narrow = narrow.append_column(columns.field(name), predictions[name])
    return narrow


def predict_masked(scorer: Scorer, rows: pa.Table, ablated: npt.NDArray[np.bool_]) -> pa.Array:
    """Predict P(viral) and score from each of `shown_subsets` in turn, as one list per row.

    NaN where a post has none of the shown modalities; null for posts that are not ablated.

    Args:
        scorer: the model.
        rows: posts with their vectors.
        ablated: mask (rows,) of the posts to predict.
    """
    subsets = shown_subsets(scorer)
    batch = from_table(scorer.streams, rows).take(np.flatnonzero(ablated))
    # (posts, subsets, 2): probability and score of each post from each subset.
    values = np.full((len(batch.present), len(subsets), 2), np.nan)
    for index, modalities in enumerate(subsets):
        masked = mask_modalities(batch, scorer.streams, modalities)
        present = np.flatnonzero(masked.present.any(axis=1))
        if len(present):
            predictions = scorer.predict(masked.take(present))
            values[present, index] = np.stack([predictions.probability, predictions.score], axis=1)
    # Subsets side by side, as `_ablation` in sections.py takes them apart again.
    lists = iter(values.reshape(len(values), 2 * len(subsets)))
    return pa.array([next(lists) if row else None for row in ablated], pa.list_(pa.float64()))


def shown_subsets(scorer: Scorer) -> tuple[tuple[str, ...], ...]:
    """Return the subsets of modalities that the ablation shows a model."""
    return modality_subsets(tuple(dict.fromkeys(stream.modality for stream in scorer.streams)))


def _sampled(draw: str, posts: Sequence[str], fraction: float) -> npt.NDArray[np.bool_]:
    """Mask of a sample by the hash of the post ids; each `draw` is independent."""
    return np.array([zlib.crc32(f"{draw} {post}".encode()) < fraction * 2**32 for post in posts], dtype=bool)


def _is_test(rows: pa.Table) -> npt.NDArray[np.bool_]:
    is_test: npt.NDArray[np.bool_] = rows["split"].to_numpy() == "test"
    return is_test


def _languages(narrow: pa.Table) -> pa.Array:
    """Detect the language of each test post's caption; null without one."""
    captions = narrow["caption"].to_pylist()
    # Only test posts are grouped by language, so only their captions are detected.
    wanted = [bool(caption and test) for caption, test in zip(captions, _is_test(narrow), strict=True)]
    detect = _detector() if any(wanted) else None
    languages = [
        (detect(caption) or UNKNOWN) if detect and test else None
        for caption, test in zip(captions, wanted, strict=True)
    ]
    return pa.array(languages, pa.string())


@cache
def _detector() -> Callable[[str], str | None]:
    """Load the language detector once per worker process."""
    return language_detector()


def baseline_inputs(rows: pa.Table) -> Inputs:
    """Extract the inputs of the baselines."""
    metadata = _metadata(rows)
    duration = _floats(rows["duration_seconds"])
    if metadata is not None:
        decoded = metadata[:, METADATA_COLUMNS.index("duration_seconds")]
        # The length in the scrape, or else the one that was decoded.
        duration = np.where(np.isfinite(duration), duration, decoded)
    posted = _floats(rows["posted_at"].cast(pa.int64())) / 3.6e9  # hours since 1970
    return Inputs(
        y=_floats(rows["target"]),
        is_viral=rows["is_viral"].to_numpy(zero_copy_only=False),
        duration=duration,
        followers=_floats(rows["author_followers"]),
        # Of the day, in UTC.
        hour=posted % 24,
        authors=author_codes(rows),
        posted_at=posted,
        metadata=metadata,
        captions=rows["caption"].to_pylist(),
        vectors=read_vectors(rows),
    )


def _metadata(rows: pa.Table) -> npt.NDArray[np.float32] | None:
    """Return the metadata vectors (N, columns), NaN for posts without; None if the feature set has none."""
    if "metadata" not in rows.column_names:
        return None
    absent = [float("nan")] * len(METADATA_COLUMNS)
    return np.array([vector or absent for vector in rows["metadata"].to_pylist()], np.float32)


def _floats(column: pa.ChunkedArray) -> npt.NDArray[np.float64]:
    values: npt.NDArray[np.float64] = column.cast(pa.float64()).to_numpy(zero_copy_only=False)
    return values


def contributions(test: pa.Table) -> Mapping[str, npt.NDArray[np.float64]]:
    """Return each modality's contribution to each prediction (rows,), NaN for posts that do not have it."""
    by_post = [dict(pairs) for pairs in test["shares"].to_pylist()]
    names = list(dict.fromkeys(name for post in by_post for name in post))
    return {name: np.array([post.get(name, np.nan) for post in by_post]) for name in names}
