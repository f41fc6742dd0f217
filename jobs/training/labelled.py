"""The data that every model of feature tables is trained on, found and measured on the cluster."""

from __future__ import annotations

from functools import partial
from typing import Any

from jobs.runtime.buckets import over_buckets
from viral.datasets.labelled_features import LabelledFeatures, Statistics, total
from viral.datasets.labelled_videos import LabelledVideos, VideoCounts
from viral.datasets.streams import Stream
from viral.errors import TableError
from viral.extractors.feature_set import FeatureSet
from viral.features.feature_table import features_table
from viral.registry.registry import Saved
from viral.storage.store import Store
from viral.tables import replaced
from viral.tables.places import labels_prefix
from viral.tables.schemas import LABELS

MIN_ROWS = 8  # a training split smaller than this says nothing


def labelled_features(
    store: Store, feature_set: FeatureSet, label: str, streams: tuple[Stream, ...], *, share: float = 1.0
) -> tuple[LabelledFeatures, dict[str, Any]]:
    """The posts that have a label and any of these streams, and what the labels' writer said of them.

    With a `share`, the training split is that of so many of its authors.

    Raises:
        TableError: one of the two tables is missing or empty.
    """
    features = features_table(store, feature_set)
    if not features.parts():
        there = sorted({key.key.split("/")[1] for key in store.objects("features") if key.key.endswith(".parquet")})
        known = f"there are {', '.join(there)}" if there else "backfill first (viral backfill)"
        raise TableError(f"there is no table {feature_set.table} in {store.root}: {known}")
    labels, about = replaced.current(store, labels_prefix(label), LABELS)
    return LabelledFeatures(features, labels, streams, share=share), about


def share_of(saved: Saved) -> float:
    """The share of the training split's authors that a model learnt from."""
    return float(saved.card.get("share", 1.0))


def statistics_of(data: LabelledFeatures) -> Statistics:
    """The statistics of the training split and the hash of all data, gathered bucket by bucket on the cluster.

    Raises:
        TableError: the training split is too small to learn anything from, or all of it is viral, or none is.
    """
    bits = data.bits()
    statistics = total(row["it"] for row in over_buckets(partial(_statistics, data, bits), bits))
    labels = data.labels.prefix.rpartition("/")[0]  # without the name of their generation
    if statistics.rows < MIN_ROWS:
        raise TableError(
            f"{statistics.rows} posts of the training split of {labels} have features of "
            f"{data.features.prefix}: at least {MIN_ROWS} are needed; ingest and backfill more"
        )
    check_classes(float(statistics.moments["is_viral"].mean[0]), labels)
    return statistics


def video_counts(data: LabelledVideos) -> VideoCounts:
    """What is known of labelled videos before any is read, gathered in the same way."""
    bits, counts = data.bits(), VideoCounts()
    for row in over_buckets(partial(_counted, data, bits), bits):
        counts = counts + row["it"]
    return counts


def check_classes(viral: float, labels: str) -> None:
    """Raise TableError if the share of viral posts in the training split leaves nothing to tell apart."""
    if viral in (0.0, 1.0):
        raise TableError(
            f"{'all' if viral else 'none'} of the training posts is viral by {labels}: label with another --top, "
            "or backfill more"
        )


def _statistics(data: LabelledFeatures, bits: int, bucket: int) -> dict[str, Any]:
    return {"it": data.statistics(bits, bucket)}


def _counted(data: LabelledVideos, bits: int, bucket: int) -> dict[str, Any]:
    return {"it": data.counts(bits, bucket)}
