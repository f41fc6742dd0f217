"""Roots to search, made without decoding anything."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from viral.extractors.feature_set import FeatureSet
from viral.features.feature_table import feature_row, features_table
from viral.features.posts import ExtractionResult
from viral.features.reuse import write_feature_card
from viral.storage.store import Store
from viral.tables.places import posts_table
from viral.tables.schemas import POSTS

SET = FeatureSet.from_dict(
    {"name": "found", "extractors": ["caption", "ocr", {"name": "speech", "params": {"weights": "whisper-tiny.en"}}]}
)
LOOKS = FeatureSet.from_dict({"name": "looks", "extractors": ["caption", "efficientnet_lite0"]})


def add_posts(store: Store, posts: Sequence[Mapping[str, Any]], log2_buckets: int = 0) -> None:
    rows = [{"source": "test", **post} for post in posts]
    posts_table(store).append(pa.Table.from_pylist(rows, schema=POSTS), log2_buckets)


def add_features(
    store: Store,
    feature_set: FeatureSet,
    results: Sequence[ExtractionResult],
    log2_buckets: int = 0,
) -> None:
    table = features_table(store, feature_set)
    write_feature_card(store, feature_set)
    rows = [feature_row(result, feature_set) for result in results]
    table.append(pa.Table.from_pylist(rows, schema=table.schema), log2_buckets)


def noted(post_id: str, *, speech: str | None = None, lines: Sequence[str] = (), attempt: int = 0) -> ExtractionResult:
    """A post with notes of the set `SET`."""
    notes = {"ocr": json.dumps({"lines": list(lines)})}
    if speech is not None:
        notes["speech"] = json.dumps({"text": speech})
    return ExtractionResult(post_id, "ok", notes=notes, attempt=attempt)


def looking(post_id: str, vector: np.ndarray | None, attempt: int = 0) -> ExtractionResult:
    """A post with an image vector, whose first numbers are these, in the set `LOOKS`."""
    full = None
    if vector is not None:
        full = np.zeros(LOOKS.dims["efficientnet_lite0"], np.float32)
        full[: len(vector)] = vector
    status = "ok" if vector is not None else "failed"
    return ExtractionResult(post_id, status, vectors={"efficientnet_lite0": full}, attempt=attempt)
