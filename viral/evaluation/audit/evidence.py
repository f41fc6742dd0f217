"""The evidence that an audit checks, gathered beforehand: the audit itself reads no tables."""

from __future__ import annotations

from dataclasses import dataclass, field

import pyarrow as pa

from viral.datasets.labelled_features import Statistics
from viral.datasets.streams import Batch, Stream
from viral.duplicates.clusters import VIDEO_COLUMNS
from viral.evaluation.audit.fitted_state import FittedState
from viral.evaluation.audit.refitting import LabelFit
from viral.evaluation.splits import Kind
from viral.tables.schemas import COUNTS, FACTS, TIMESTAMP

ROWS = pa.schema(
    [
        pa.field("post_id", pa.string()),
        pa.field("author_id", pa.string()),
        pa.field("posted_at", TIMESTAMP),
        pa.field("split", pa.string()),
        pa.field("target", pa.float64()),
        pa.field("is_viral", pa.bool_()),
        *(FACTS.field(name) for name in VIDEO_COLUMNS),
        pa.field("sound_id", pa.string()),
        *(pa.field(name, pa.int64()) for name in COUNTS),
        pa.field("sound_posts_before", pa.float64()),
    ]
)
"""Columns per post; `sound_posts_before` is the count in the model's inputs, null if they do not have it."""


@dataclass(frozen=True)
class AuditSample:
    """A sample of posts with their inputs, to compare values: all labelled posts of the sampled authors.

    Attributes:
        rows: as `ROWS`, (N,).
        batch: inputs of the same posts.
        authors: all posts of their authors, labelled or not: `post_id`, `author_id` and the counts.
    """

    rows: pa.Table
    batch: Batch
    authors: pa.Table


@dataclass(frozen=True)
class Evidence:
    """Everything that the checks look at.

    Attributes:
        streams: the model's inputs.
        kind: of the split that the model is evaluated on.
        gap_days: of that split.
        rows: as `ROWS`, the posts of all splits that the model can score.
        sample: some of them, with their inputs.
        sounds: all posts of some sounds: `post_id`, `sound_id`, `posted_at`; None if the model has no input that counts
            the uses of a sound.
        fitted: the model, or each model of a stack, with the current statistics of its training split; None if the
            split has changed since.
        label: constants of the label, stored and refitted; None if they cannot be refitted.
        earlier_training_posts: training posts of the models that this one was continued from, if of other labels.
        reference: reference posts stored beside the model: `post_id`.
        vector_hashes: hash of each input's vector, a column per stream, of the same posts as `rows`; null where absent.
        neighbours: pairs of a post and a neighbour that an explanation would show: `post_id`, `posted_at`,
            `neighbour_id`, `neighbour_posted_at`.
    """

    streams: tuple[Stream, ...]
    kind: Kind
    rows: pa.Table
    sample: AuditSample | None = None
    gap_days: float = 0.0
    sounds: pa.Table | None = None
    fitted: tuple[tuple[FittedState, Statistics | None], ...] = ()
    label: LabelFit | None = None
    earlier_training_posts: pa.Array = field(default_factory=lambda: pa.array([], pa.string()))
    reference: pa.Table | None = None
    vector_hashes: pa.Table | None = None
    neighbours: pa.Table | None = None
