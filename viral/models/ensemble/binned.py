"""LightGBM data sets, read bucket by bucket: one byte per value in memory, plus a sample of 20,000 posts.

Several workers of Ray Train's LightGBMTrainer can grow the same trees, each from its own buckets. The trees depend
slightly on the number of workers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import lightgbm
import numpy as np
import numpy.typing as npt

from viral.models.ensemble.rows import LabelledBatch, Layout, Matrix, RowSource
from viral.models.predictions import Floats

BINS = 63  # a quarter of LightGBM's default: smaller and faster, and enough for noisy targets
MIN_LEAF, DEFAULT_MIN_LEAF = 5, 20  # posts per leaf: with few posts, and LightGBM's default
PATIENCE = 40  # early-stopping patience, in trees
_DATASET: Mapping[str, Any] = {
    "deterministic": True,  # the same posts give the same trees, on any number of cores
    "force_row_wise": True,
    "verbosity": -1,
    "max_bin": BINS,
    "bin_construct_sample_cnt": 20_000,  # LightGBM has three copies of this sample, in double precision
    "feature_pre_filter": False,
}


class BinnedPosts:
    """Training and validation posts in LightGBM's bins, reused to grow several boosters.

    The training posts are read three times: for the targets, for the bounds of the bins, and to fill the bins. The
    validation posts, for early stopping, must be the same on all workers of a group, so that all stop at the same tree.
    """

    def __init__(self, layout: Layout, train: RowSource, validation: LabelledBatch, seed: int) -> None:
        self.params = {**_DATASET, "seed": seed}
        self._group = train.group
        self._connected: lightgbm.Booster | None = None
        if self._group is not None:
            self.params |= {"tree_learner": "data", "pre_partition": True, "num_machines": self._group.size}
        # First the targets alone: LightGBM needs the number of posts before it reads their columns.
        targets = [_targets(train.read(bucket)) for bucket in train.buckets]
        self.targets = {name: np.concatenate([bucket[name] for bucket in targets]) for name in ("viral", "score")}
        self.validation_targets = _targets(validation)
        cache = _BucketCache(layout, train)
        sizes = [len(bucket["score"]) for bucket in targets]
        sequences = [_Bucket(cache, bucket, size) for bucket, size in zip(train.buckets, sizes, strict=True) if size]
        self.train = lightgbm.Dataset(sequences, params=self.params)
        self.validation = lightgbm.Dataset(layout.with_nan(validation.batch), reference=self.train, params=self.params)

    def grow(self, target: str, rounds: int, **settings: Any) -> str:
        """Grow trees that predict `viral` or `score`; returns them in LightGBM's text format.

        Boosting stops after `PATIENCE` trees without a lower validation loss, and drops the trees after the best.
        """
        self.train.set_label(self.targets[target])
        self.validation.set_label(self.validation_targets[target])
        rows = self._group.rows if self._group else len(self.targets["score"])
        min_leaf = max(MIN_LEAF, rows // 20)  # with few posts a large leaf would contain all of them
        min_leaf = min(min_leaf, settings.get("min_data_in_leaf", DEFAULT_MIN_LEAF))
        params = {**self.params, **settings, "min_data_in_leaf": min_leaf}
        if self._group is not None and self._connected is None:
            params |= self._group.network
            self._group.barrier()
        boosts = settings.get("boosting") != "rf"
        stop: list[Any] = [lightgbm.early_stopping(PATIENCE, verbose=False)] if boosts else []
        # A forest has no order of trees, so nothing can be stopped early.
        validation = [self.validation] if boosts else None
        booster = lightgbm.train(params, self.train, rounds, valid_sets=validation, callbacks=stop)
        if self._group is not None and self._connected is None:
            self._connected = booster  # the first booster opens the connections, and closes them when deleted
        # Text, not a pickle, which could run code.
        text: str = booster.model_to_string(num_iteration=booster.best_iteration)
        return text


def _targets(posts: LabelledBatch) -> dict[str, Floats]:
    return {"viral": posts.viral.astype(np.float64), "score": posts.score}


class _BucketCache:
    """Cache of the bucket read last: LightGBM reads many slices of one bucket before the next."""

    def __init__(self, layout: Layout, source: RowSource) -> None:
        self.layout, self.source = layout, source
        self._cached: tuple[int, Matrix] | None = None

    def matrix(self, bucket: int) -> Matrix:
        """Return the inputs (posts, columns) of a bucket; the last one read stays in memory."""
        if self._cached is None or self._cached[0] != bucket:
            self._cached = None  # free the last bucket before reading the next
            self._cached = bucket, self.layout.with_nan(self.source.read(bucket).batch)
        return self._cached[1]


class _Bucket(lightgbm.Sequence):
    """Posts of one bucket, with LightGBM's sequence interface."""

    def __init__(self, cache: _BucketCache, bucket: int, size: int) -> None:
        self.cache, self.bucket, self.size = cache, bucket, size

    def __getitem__(self, rows: Any) -> npt.NDArray[np.float64]:
        return np.asarray(self.cache.matrix(self.bucket)[rows], np.float64)

    def __len__(self) -> int:
        return self.size
