"""Training data of models on feature tables, and its statistics, computed on the cluster."""

from __future__ import annotations

from functools import partial
from typing import Any

from jobs.runtime.buckets import map_buckets
from viral.datasets.labelled_features import LabelledFeatures, Statistics, sum_statistics
from viral.datasets.labelled_videos import LabelledVideos, VideoCounts
from viral.datasets.streams import Stream
from viral.errors import TableError
from viral.extractors.feature_set import FeatureSet
from viral.features.feature_table import features_table
from viral.registry.registry import ModelVersion
from viral.scoring.scorer import feature_set_of
from viral.storage.store import Store
from viral.tables import replaced
from viral.tables.places import labels_prefix
from viral.tables.schemas import LABELS

MIN_ROWS = 8  # a smaller training split teaches nothing


def labelled_features(
    store: Store, feature_set: FeatureSet, label: str, streams: tuple[Stream, ...], *, author_fraction: float = 1.0
) -> tuple[LabelledFeatures, dict[str, Any]]:
    """Join a feature table with a label table.

    A post needs at least one of the `streams`; `author_fraction` limits the training split to some of its authors.

    Returns:
        The posts, and the metadata of the label table.

    Raises:
        TableError: one of the tables is missing or empty.
    """
    features = features_table(store, feature_set)
    if not features.files():
        tables = sorted({key.key.split("/")[1] for key in store.objects("features") if key.key.endswith(".parquet")})
        hint = f"there are {', '.join(tables)}" if tables else "backfill first (viral backfill)"
        raise TableError(f"there is no table {feature_set.table} in {store.root}: {hint}")
    labels, about = replaced.open_current(store, labels_prefix(label), LABELS)
    return LabelledFeatures(features, labels, streams, author_fraction=author_fraction), about


def training_data(store: Store, saved: ModelVersion, streams: tuple[Stream, ...]) -> LabelledFeatures:
    """Return a model's features and labels. Raises TableError if the labels changed after the training."""
    name, fraction = saved.card["label"]["name"], author_fraction_of(saved)
    data, label = labelled_features(store, feature_set_of(saved), name, streams, author_fraction=fraction)
    if label != saved.card["label"]:
        raise TableError(f"labels/{name} changed after {saved} was trained: train again, or label as before")
    return data


def author_fraction_of(saved: ModelVersion) -> float:
    """Fraction of the training split's authors that a model was trained on."""
    return float(saved.card.get("share", 1.0))


def statistics_of(data: LabelledFeatures) -> Statistics:
    """Compute the statistics of the training split and the hash of all data.

    Raises:
        TableError: the training split is too small, or all or none of its posts are viral.
    """
    log2_buckets = data.log2_buckets()
    statistics = sum_statistics(map_buckets(partial(data.statistics, log2_buckets), log2_buckets))
    labels = data.labels.prefix.rpartition("/")[0]  # without the name of the table version
    if statistics.rows < MIN_ROWS:
        raise TableError(
            f"{statistics.rows} posts of the training split of {labels} have features of "
            f"{data.features.prefix}: at least {MIN_ROWS} are needed; ingest and backfill more"
        )
    check_classes(float(statistics.moments["is_viral"].mean[0]), labels)
    return statistics


def video_counts(data: LabelledVideos) -> VideoCounts:
    """Count labelled videos and hash their data, without reading a video."""
    log2_buckets, counts = data.log2_buckets(), VideoCounts()
    for bucket_counts in map_buckets(partial(data.counts, log2_buckets), log2_buckets):
        counts = counts + bucket_counts
    return counts


def check_classes(viral: float, labels: str) -> None:
    """Raise TableError if all or none of the training posts are viral; `viral` is their fraction."""
    if viral in (0.0, 1.0):
        raise TableError(
            f"{'all' if viral else 'none'} of the training posts is viral by {labels}: label with another --top, "
            "or backfill more"
        )
