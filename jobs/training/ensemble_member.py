"""Ray task that trains one member of an ensemble."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from viral.datasets.labelled_features import LabelledFeatures
from viral.models.ensemble.member import Arrays, member_class
from viral.models.ensemble.rows import Layout, RowSource, WorkerGroup
from viral.models.predictions import Floats, PredictionBatch
from viral.models.train_config import Scaling

MAX_VALIDATION_ROWS = 20_000  # more posts hardly change the weights of the members


@dataclass(frozen=True)
class MemberTask:
    """Input of a task.

    `rows` and `validation_rows` are the sizes of the splits; a distributed member is trained on `workers` workers.
    """

    name: str
    data: LabelledFeatures
    log2_buckets: int
    layout: Layout
    scaling: Scaling
    rows: int
    validation_rows: int
    seed: int
    workers: int = 1

    def source(self, split: str, rows: int, limit: int, group: WorkerGroup | None = None) -> RowSource:
        """Return the posts of a split, or a sample of about `limit` of its `rows` posts."""
        return RowSource(self.data, self.log2_buckets, split, self.scaling, min(1.0, limit / max(1, rows)), group)

    def limit(self, name: str) -> int:
        """Return the maximum number of training posts of a member."""
        kind = member_class(name)
        # Each worker holds its own shard, so a distributed member sees as many posts as fit on all of them.
        return kind.max_rows * (self.workers if kind.distributed else 1)


@dataclass(frozen=True)
class TrainedMember:
    """A fitted member, its best settings, and its predictions for the validation posts, with their labels."""

    name: str
    tensors: Arrays
    settings: dict[str, Any]
    predictions: PredictionBatch
    viral: npt.NDArray[np.bool_]
    score: Floats


def train(task: MemberTask, group: WorkerGroup | None = None) -> TrainedMember:
    """Train one member, in this process alone or as one worker of a group."""
    kind = member_class(task.name)
    # Every worker reads the whole validation split: all stop at the same number of trees.
    validation = task.source("validation", task.validation_rows, MAX_VALIDATION_ROWS).read_all()
    source = task.source("train", task.rows, task.limit(task.name), group)
    # Predictions come from the arrays that are saved, so that mixing weights fit what is scored later.
    member, settings = kind.fit(task.layout, source, validation, task.seed)
    tensors = member.to_arrays()
    predictions = kind.from_arrays(tensors)(task.layout, validation.batch)
    return TrainedMember(task.name, tensors, settings, predictions, validation.viral, validation.score)
