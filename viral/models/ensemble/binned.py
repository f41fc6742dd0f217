"""Posts in LightGBM's bins, read bucket by bucket: in memory is one byte a value, and a sample of 20,000 posts.

Several workers of Ray Train's LightGBMTrainer can grow the same trees, each from its own buckets. In Ray's example each
holds its share as a frame of pandas, four to eight bytes a value; here a worker's share, too, is read bucket by bucket.
What they grow changes a little with their number.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import lightgbm
import numpy as np
import numpy.typing as npt

from viral.models.ensemble.member import Floats
from viral.models.ensemble.rows import Layout, Matrix, Rows, Source

BINS = 63
LEAST, USUAL = 5, 20  # posts in a leaf
PATIENCE = 40
_DATASET: Mapping[str, Any] = {
    "deterministic": True,  # the same posts give the same trees, on any number of cores
    "force_row_wise": True,
    "verbosity": -1,
    "max_bin": BINS,
    "bin_construct_sample_cnt": 20_000,  # held in double precision, three times over
    "feature_pre_filter": False,
}


class Binned:
    """The training posts and the held ones, binned once and grown on several times.

    The training posts are read three times: for their targets, for the bounds of the bins, and into the bins.

    Args:
        layout: of the columns.
        train: what to learn from.
        held: to stop on; the same for all workers of a crew, so that all stop at the same tree.
        seed: of what LightGBM draws.
    """

    def __init__(self, layout: Layout, train: Source, held: Rows, seed: int) -> None:
        self.params = {**_DATASET, "seed": seed}
        self._crew = train.crew
        self._connected: lightgbm.Booster | None = None
        if self._crew is not None:
            self.params |= {"tree_learner": "data", "pre_partition": True, "num_machines": self._crew.size}
        targets = [_targets(train.bucket(number)) for number in train.places]
        self.targets = {name: np.concatenate([each[name] for each in targets]) for name in ("viral", "score")}
        self.held_targets = _targets(held)
        reader = _Reader(layout, train)
        sizes = [len(each["score"]) for each in targets]
        buckets = [_Bucket(reader, at, size) for at, size in zip(train.places, sizes, strict=True) if size]
        self.posts = lightgbm.Dataset(buckets, params=self.params)
        self.held = lightgbm.Dataset(layout.gaps(held.batch), reference=self.posts, params=self.params)

    def grow(self, target: str, rounds: int, **settings: Any) -> str:
        """Trees that predict `viral` or `score`, as LightGBM's text.

        Boosting ends when forty more trees have not helped with the held posts, and keeps those up to the best.
        """
        self.posts.set_label(self.targets[target])
        self.held.set_label(self.held_targets[target])
        rows = self._crew.rows if self._crew else len(self.targets["score"])
        least = max(LEAST, rows // 20)  # of few posts a large leaf would hold all
        params = {**self.params, **settings, "min_data_in_leaf": min(least, settings.get("min_data_in_leaf", USUAL))}
        if self._crew is not None and self._connected is None:
            params |= self._crew.network
            self._crew.ready()
        boosts = settings.get("boosting") != "rf"
        stop: list[Any] = [lightgbm.early_stopping(PATIENCE, verbose=False)] if boosts else []
        held = [self.held] if boosts else None
        booster = lightgbm.train(params, self.posts, rounds, valid_sets=held, callbacks=stop)
        if self._crew is not None and self._connected is None:
            self._connected = booster  # the first one opens the connections, and closes them when it goes
        text: str = booster.model_to_string(num_iteration=booster.best_iteration)
        return text


def _targets(rows: Rows) -> dict[str, Floats]:
    return {"viral": rows.viral.astype(np.float64), "score": rows.score}


class _Reader:
    """Keeps the bucket that was read last: LightGBM asks for one after the other, for many rows of each."""

    def __init__(self, layout: Layout, train: Source) -> None:
        self.layout, self.train = layout, train
        self._held: tuple[int, Matrix] | None = None

    def matrix(self, number: int) -> Matrix:
        if self._held is None or self._held[0] != number:
            self._held = None  # before the next one is read
            self._held = number, self.layout.gaps(self.train.bucket(number).batch)
        return self._held[1]


class _Bucket(lightgbm.Sequence):
    """The posts of one bucket, as LightGBM asks for them."""

    def __init__(self, reader: _Reader, number: int, size: int) -> None:
        self.reader, self.number, self.size = reader, number, size

    def __getitem__(self, at: Any) -> npt.NDArray[np.float64]:
        rows: npt.NDArray[np.float64] = self.reader.matrix(self.number)[at].astype(np.float64)
        return rows

    def __len__(self) -> int:
        return self.size
