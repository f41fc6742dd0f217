"""Posts and a model without a leak, to plant leaks in."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from viral.datasets.labelled_features import Statistics, compute_moments
from viral.datasets.streams import Batch, Stream
from viral.errors import LeakError
from viral.evaluation.audit import AuditSample, Evidence, FittedState, audit, raise_on_leaks
from viral.evaluation.audit.evidence import ROWS
from viral.evaluation.audit.refitting import refit_label
from viral.labels import LabelSpec, fit
from viral.models.train_config import Scaling
from viral.tables.schemas import COUNTS

POSTS_EACH, AUTHORS = 10, 60
STREAMS = (Stream("text", "text", 6), Stream("acoustics", "audio", 3))
START = datetime(2024, 1, 1, tzinfo=UTC)
PART = ["train"] * 40 + ["validation"] * 10 + ["test"] * 10


def table() -> pa.Table:
    """Posts as `ROWS`: newer ones by other authors in each part, every file, and every sound, once."""
    rng, count = np.random.default_rng(0), POSTS_EACH * AUTHORS
    level = np.repeat(rng.normal(8, 1.5, AUTHORS), POSTS_EACH)
    views = np.exp(level + rng.normal(0, 1, count)).astype(np.int64)
    columns = {
        "post_id": [f"post-{n}" for n in range(count)],
        "author_id": [f"author-{n // POSTS_EACH}" for n in range(count)],
        "posted_at": [START + timedelta(hours=n) for n in range(count)],
        "split": [PART[n // POSTS_EACH] for n in range(count)],
        "target": np.log1p(views),
        "is_viral": views > np.quantile(views, 0.75),
        "sha256": [f"{n:064x}" for n in range(count)],
        "video_hash": [None] * count,
        "seen_seconds": [10.0] * count,
        "sound_id": [f"sound-{n}" for n in range(count)],
        **{name: views // (2 + 3 * index) + rng.integers(0, 1000, count) for index, name in enumerate(COUNTS)},
        "views": views,
        "sound_posts_before": [0.0] * count,
    }
    return pa.table(columns).select(ROWS.names).cast(ROWS)


def batch(count: int = POSTS_EACH * AUTHORS) -> Batch:
    rng = np.random.default_rng(1)
    vectors = {stream.name: rng.normal(size=(count, stream.dim)).astype(np.float32) for stream in STREAMS}
    vectors["acoustics"][:, 0] = 1.0  # says nothing
    vectors["acoustics"][:, 1] = rng.random(count) > 0.99  # next to nothing
    return Batch(vectors, np.ones((count, len(STREAMS)), bool))


def fitted_state(rows: pa.Table, inputs: Batch, parts: tuple[str, ...] = ("train",), **changes: object) -> FittedState:
    """A model that was fitted on the posts of those parts."""
    mask = np.isin(rows["split"].to_numpy(), parts)
    moments = {name: compute_moments(vectors[mask]) for name, vectors in inputs.vectors.items()}
    target = rows["target"].to_numpy()[mask]
    scaling = Scaling(float(target.mean()), float(target.std()))
    return FittedState(
        name="m/1",
        card={},
        streams=STREAMS,
        absent=(),
        target=changes.pop("target", scaling),
        means={name: moment.mean.astype(np.float32) for name, moment in moments.items()},
        scales={name: moment.scale.astype(np.float32) for name, moment in moments.items()},
        scores=(target - scaling.mean) / scaling.scale,
        **changes,
    )


def statistics(rows: pa.Table, inputs: Batch) -> Statistics:
    mask = rows["split"].to_numpy() == "train"
    moments = {name: compute_moments(vectors[mask]) for name, vectors in inputs.vectors.items()}
    moments["target"] = compute_moments(rows["target"].to_numpy()[mask][:, None])
    return Statistics(int(mask.sum()), moments)


def evidence(rows: pa.Table | None = None, inputs: Batch | None = None, **changes: object) -> Evidence:
    """Of a model and posts without a leak, but for what is changed."""
    rows, inputs = rows or table(), inputs or batch()
    train = rows.filter(pc.equal(rows["split"], "train"))
    spec = fit(LabelSpec("log_views"), rows, rows["split"].to_numpy() == "train").to_dict()
    pairs = {"post_id": ["post-599"], "posted_at": [START + timedelta(hours=599)]}
    pairs |= {"neighbour_id": ["post-3"], "neighbour_posted_at": [START + timedelta(hours=3)]}
    defaults: dict[str, object] = {
        "streams": STREAMS,
        "kind": "time_author",
        "sample": AuditSample(rows, inputs, rows.select(["post_id", "author_id", *COUNTS])),
        "sounds": rows.select(["post_id", "sound_id", "posted_at"]),
        "fitted": ((fitted_state(rows, inputs), statistics(rows, inputs)),),
        "label": refit_label(spec, rows),
        "reference": train.select(["post_id"]),
        "neighbours": pa.table(pairs),
    }
    return Evidence(rows=rows, **(defaults | changes))


def put(rows: pa.Table, column: str, values: dict[int, object]) -> pa.Table:
    """The rows with some values of a column replaced."""
    changed = rows[column].to_pylist()
    for row, value in values.items():
        changed[row] = value
    index = rows.column_names.index(column)
    return rows.set_column(index, ROWS.field(column), pa.array(changed, ROWS.field(column).type))


def planted(stream: str, column: int, values: object) -> Batch:
    inputs = batch()
    inputs.vectors[stream][:, column] = values
    return inputs


def only(of: Evidence, check: str) -> str:
    """Check that there is one finding, of that check, and return the error message."""
    findings = audit(of)
    assert [finding.check for finding in findings] == [check]
    with pytest.raises(LeakError) as error:
        raise_on_leaks(findings)
    message = str(error.value)
    assert "\n" not in message
    assert findings[0].fix in message
    assert check in message
    return message
