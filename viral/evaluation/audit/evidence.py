"""All that an audit looks at, gathered beforehand: the audit itself reads nothing."""

from __future__ import annotations

from dataclasses import dataclass, field

import pyarrow as pa

from viral.datasets.labelled_features import USED as SIDES
from viral.datasets.labelled_features import Statistics
from viral.datasets.streams import Batch, Stream
from viral.evaluation.audit.learnt import Learnt
from viral.evaluation.audit.refitting import LabelFit
from viral.evaluation.splits import Kind
from viral.tables.schemas import COUNTS, SECONDS

__all__ = ["ROWS", "SIDES", "Evidence", "Sample"]

ROWS = pa.schema(
    [
        pa.field("post_id", pa.string()),
        pa.field("author_id", pa.string()),
        pa.field("posted_at", SECONDS),
        pa.field("split", pa.string()),
        pa.field("target", pa.float64()),
        pa.field("sha256", pa.string()),
        pa.field("sound_id", pa.string()),
        *(pa.field(name, pa.int64()) for name in COUNTS),
        pa.field("sound_posts_before", pa.float64()),
    ]
)
"""What is looked at of each post; `sound_posts_before` is what the model's inputs say of it, null where nothing."""


@dataclass(frozen=True)
class Sample:
    """Some posts with their inputs, to compare values: whole authors, where there are more than can be looked at.

    Attributes:
        rows: as `ROWS`, (N,).
        batch: the inputs of the same posts.
        authors: all posts of their authors, labelled or not: `post_id`, `author_id` and the counts.
    """

    rows: pa.Table
    batch: Batch
    authors: pa.Table


@dataclass(frozen=True)
class Evidence:
    """What there is to audit.

    Attributes:
        streams: the model's inputs.
        kind: of the split that the model is judged by.
        gap_days: of that split.
        rows: as `ROWS`, the posts of the parts `SIDES` that the model can look at.
        sample: some of them, with their inputs.
        sounds: all posts of some sounds: `post_id`, `sound_id`, `posted_at`; None: the model does not look at how often
            a sound was used.
        fitted: the model, or each model of a stack, with the statistics of the training split as they are now.
        label: the constants of the label, and as they are now; None: it cannot be fitted again.
        known: posts that the model had learnt from before, when it was another.
        reference: training posts that are kept beside the model: `post_id`.
        neighbours: pairs of a post and one that it is compared with: `post_id`, `posted_at`, `neighbour_id`,
            `neighbour_posted_at`.
    """

    streams: tuple[Stream, ...]
    kind: Kind
    rows: pa.Table
    sample: Sample | None = None
    gap_days: float = 0.0
    sounds: pa.Table | None = None
    fitted: tuple[tuple[Learnt, Statistics | None], ...] = ()
    label: LabelFit | None = None
    known: pa.Array = field(default_factory=lambda: pa.array([], pa.string()))
    reference: pa.Table | None = None
    neighbours: pa.Table | None = None
