"""What each task of a Ray cluster does to train one member of an ensemble."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from viral.datasets.labelled_features import LabelledFeatures
from viral.models.ensemble.member import Floats, Tensors, member_class
from viral.models.ensemble.rows import Crew, Layout, Source
from viral.models.predictions import PredictionBatch
from viral.models.train_config import Scaling

HELD_ROWS = 20_000  # more posts to weigh members on change no weight that a reader could see


@dataclass(frozen=True)
class MemberTask:
    """All that a task needs to know. `rows` and `held_rows` count the training and the validation split.

    `workers` grow the trees together; other members, and trees where it is 1, are fitted by one task each.
    """

    name: str
    data: LabelledFeatures
    log2_buckets: int
    layout: Layout
    scaling: Scaling
    rows: int
    held_rows: int
    seed: int
    workers: int = 1

    def source(self, split: str, rows: int, limit: int, crew: Crew | None = None) -> Source:
        """The posts of a split, or of too many a sample."""
        return Source(self.data, self.log2_buckets, split, self.scaling, min(1.0, limit / max(1, rows)), crew)

    def limit(self, name: str) -> int:
        """How many posts that member learns from, at most."""
        kind = member_class(name)
        return kind.limit * (self.workers if kind.grown else 1)


@dataclass(frozen=True)
class Trained:
    """A member, the settings that it chose, and what it says of the posts that the members are weighed on."""

    name: str
    tensors: Tensors
    settings: dict[str, Any]
    said: PredictionBatch
    viral: npt.NDArray[np.bool_]
    score: Floats


def train(task: MemberTask, crew: Crew | None = None) -> Trained:
    """Train one member, alone or as one of a crew."""
    kind = member_class(task.name)
    held = task.source("validation", task.held_rows, HELD_ROWS).all()
    source = task.source("train", task.rows, task.limit(task.name), crew)
    member, settings = kind.fit(task.layout, source, held, task.seed)
    tensors = member.tensors()
    said = kind.made(tensors)(task.layout, held.batch)
    return Trained(task.name, tensors, settings, said, held.viral, held.score)
