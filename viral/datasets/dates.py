"""Inputs that only name the date: in a short corpus they tell its weeks apart, not weekdays, and are left out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from viral.datasets.labelled_features import RunningMoments, Statistics
from viral.extractors.feature_set import FeatureSet
from viral.extractors.metadata import METADATA_COLUMNS, Metadata

MIN_DAYS = 56  # eight weeks: each weekday eight times; on two months, trees gained by going without the weekday
DATES = ("weekday_sin", "weekday_cos")  # the hour of the day comes again every day


def without_dates(statistics: Statistics, feature_set: FeatureSet) -> Statistics:
    """Give the columns of dates an infinite scale, by which all models ignore them, if the corpus is short.

    Args:
        statistics: of the training split.
        feature_set: whose vectors they are of.
    """
    found = [spec.name for spec in feature_set.specs if spec.registry_name == Metadata.name]
    names = [name for name in found if name in statistics.moments]
    if statistics.span is None or statistics.span >= MIN_DAYS or not names:
        return statistics
    moments: Mapping[str, RunningMoments] = {name: _ignored(statistics.moments[name]) for name in names}
    return replace(statistics, moments={**statistics.moments, **moments})


def left_out(statistics: Statistics) -> list[str]:
    """Return the names of the columns that `without_dates` left out, as in "metadata weekday_sin"."""
    infinite = {name: np.flatnonzero(np.isinf(moments.scale)) for name, moments in statistics.moments.items()}
    return [f"{name} {METADATA_COLUMNS[index]}" for name, columns in infinite.items() for index in columns]


def _ignored(moments: RunningMoments) -> RunningMoments:
    squares = moments.squares.copy()
    squares[[METADATA_COLUMNS.index(column) for column in DATES]] = np.inf
    return replace(moments, squares=squares)
