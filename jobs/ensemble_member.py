"""What each task of a Ray cluster does to train one member of an ensemble."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from viral.dataset import LabelledFeatures
from viral.models.ensemble.member import Floats, Tensors, member_class
from viral.models.ensemble.rows import Layout, Source
from viral.models.mixing import Opinion
from viral.models.train_config import Scaling

HELD_ROWS = 20_000  # more posts to weigh members on change no weight that a reader could see


@dataclass(frozen=True)
class MemberTask:
    """All that a task needs to know. `rows` and `held_rows` count the training and the validation split."""

    name: str
    data: LabelledFeatures
    bits: int
    layout: Layout
    scaling: Scaling
    rows: int
    held_rows: int
    seed: int

    def source(self, split: str, rows: int, limit: int) -> Source:
        """The posts of a split, or of too many a sample."""
        return Source(self.data, self.bits, split, self.scaling, min(1.0, limit / max(1, rows)))


@dataclass(frozen=True)
class Trained:
    """A member, the settings that it chose, and what it says of the posts that the members are weighed on."""

    name: str
    tensors: Tensors
    settings: dict[str, Any]
    said: Opinion
    viral: npt.NDArray[np.bool_]
    score: Floats


def train(task: MemberTask) -> Trained:
    """Train one member."""
    kind = member_class(task.name)
    held = task.source("validation", task.held_rows, HELD_ROWS).all()
    member, settings = kind.fit(task.layout, task.source("train", task.rows, kind.limit), held, task.seed)
    tensors = member.tensors()
    said = kind.made(tensors)(task.layout, held.batch)
    return Trained(task.name, tensors, settings, said, held.viral, held.score)
