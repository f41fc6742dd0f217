"""Training data of models, and its statistics, computed on the cluster."""

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

MIN_ROWS = 8  # nothing can be learned from fewer training posts


def labelled_features(
    store: Store, feature_set: FeatureSet, label: str, streams: tuple[Stream, ...], *, author_fraction: float = 1.0
) -> tuple[LabelledFeatures, dict[str, Any]]:
    """Join a feature table with a label table.

    Posts without any of the `streams` are left out; `author_fraction` limits the training split to some authors.

    Returns:
        The joined posts, and the metadata of the label table.

    Raises:
        TableError: one of the tables is missing or empty.
    """
    features = features_table(store, feature_set)
    if not features.files():
        tables = sorted({info.key.split("/")[1] for info in store.objects("features") if info.key.endswith(".parquet")})
        hint = f"there are {', '.join(tables)}" if tables else "backfill first (viral backfill)"
        raise TableError(f"there is no table {feature_set.table} in {store.root}: {hint}")
    labels, about = replaced.open_current(store, labels_prefix(label), LABELS)
    return LabelledFeatures(features, labels, streams, author_fraction=author_fraction), about


def training_data(store: Store, saved: ModelVersion, streams: tuple[Stream, ...]) -> LabelledFeatures:
    """Return the data that a model was trained on. Raises TableError if the labels have changed since."""
    name, fraction = saved.card["label"]["name"], author_fraction_of(saved)
    data, label = labelled_features(store, feature_set_of(saved), name, streams, author_fraction=fraction)
    # With other splits, validation posts of today may have been training posts of the model.
    if label != saved.card["label"]:
        raise TableError(f"labels/{name} was replaced since {saved} was trained: train again, or label as before")
    return data


def author_fraction_of(saved: ModelVersion) -> float:
    """Return the fraction of the training split's authors that a model was trained on."""
    # Cards of video models have no such entry: they are trained on all authors.
    return float(saved.card.get("share", 1.0))


def statistics_of(data: LabelledFeatures) -> Statistics:
    """Compute the statistics of the training split, and a hash of all splits.

    Raises:
        TableError: the training split is too small, or all or none of its posts are viral.
    """
    log2_buckets = data.log2_buckets()
    statistics = sum_statistics(map_buckets(partial(data.statistics, log2_buckets), log2_buckets))
    labels = data.labels.prefix.rpartition("/")[0]  # without the version of the table
    if statistics.rows < MIN_ROWS:
        raise TableError(
            f"{statistics.rows} posts of the training split of {labels} are in {data.features.prefix}: "
            f"at least {MIN_ROWS} are needed; ingest and backfill more"
        )
    check_classes(float(statistics.moments["is_viral"].mean[0]), labels)
    return statistics


def video_counts(data: LabelledVideos) -> VideoCounts:
    """Count labelled videos by split, and hash their labels and addresses; no video is read."""
    log2_buckets = data.log2_buckets()
    return sum(map_buckets(partial(data.counts, log2_buckets), log2_buckets), VideoCounts())


def check_classes(viral_fraction: float, labels: str) -> None:
    """Raise TableError if all or none of the training posts are viral, given the fraction of viral ones."""
    if viral_fraction in (0.0, 1.0):
        part = "all" if viral_fraction else "none"
        raise TableError(
            f"{part} of the training posts are viral by {labels}: label with another --top or backfill more"
        )
