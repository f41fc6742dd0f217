"""Posts and a model without a leak, to plant leaks in."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from viral.datasets.labelled_features import Statistics, moments_of
from viral.datasets.streams import Batch, Stream
from viral.errors import LeakError
from viral.evaluation.audit import Evidence, Learnt, Sample, audit, refitted, refuse
from viral.evaluation.audit.evidence import ROWS
from viral.labels import LabelSpec, fit
from viral.models.train_config import Scaling
from viral.tables.schemas import COUNTS

POSTS_EACH, AUTHORS = 10, 60
STREAMS = (Stream("text", "text", 6), Stream("acoustics", "audio", 3))
START = datetime(2024, 1, 1, tzinfo=UTC)
PART = ["train"] * 40 + ["validation"] * 10 + ["test"] * 10


def table() -> pa.Table:
    """Posts as `ROWS`: newer ones by other authors in each part, every file, and every sound, once."""
    chance, count = np.random.default_rng(0), POSTS_EACH * AUTHORS
    level = np.repeat(chance.normal(8, 1.5, AUTHORS), POSTS_EACH)
    views = np.exp(level + chance.normal(0, 1, count)).astype(np.int64)
    columns = {
        "post_id": [f"post-{n}" for n in range(count)],
        "author_id": [f"author-{n // POSTS_EACH}" for n in range(count)],
        "posted_at": [START + timedelta(hours=n) for n in range(count)],
        "split": [PART[n // POSTS_EACH] for n in range(count)],
        "target": np.log1p(views),
        "sha256": [f"{n:064x}" for n in range(count)],
        "sound_id": [f"sound-{n}" for n in range(count)],
        **{name: views // (2 + 3 * at) + chance.integers(0, 1000, count) for at, name in enumerate(COUNTS)},
        "views": views,
        "sound_posts_before": [0.0] * count,
    }
    return pa.table(columns).select(ROWS.names).cast(ROWS)


def batch(count: int = POSTS_EACH * AUTHORS) -> Batch:
    chance = np.random.default_rng(1)
    vectors = {each.name: chance.normal(size=(count, each.dim)).astype(np.float32) for each in STREAMS}
    vectors["acoustics"][:, 0] = 1.0  # says nothing
    vectors["acoustics"][:, 1] = chance.random(count) > 0.99  # next to nothing
    return Batch(vectors, np.ones((count, len(STREAMS)), bool))


def learnt(rows: pa.Table, inputs: Batch, parts: tuple[str, ...] = ("train",), **changes: object) -> Learnt:
    """A model that was fitted on the posts of those parts."""
    chosen = np.isin(rows["split"].to_numpy(), parts)
    moments = {name: moments_of(each[chosen]) for name, each in inputs.vectors.items()}
    target = rows["target"].to_numpy()[chosen]
    scaling = Scaling(float(target.mean()), float(target.std()))
    return Learnt(
        name="m/1",
        card={},
        streams=STREAMS,
        absent=(),
        target=changes.pop("target", scaling),
        means={name: each.mean.astype(np.float32) for name, each in moments.items()},
        scales={name: each.scale.astype(np.float32) for name, each in moments.items()},
        scores=(target - scaling.mean) / scaling.scale,
        **changes,
    )


def statistics(rows: pa.Table, inputs: Batch) -> Statistics:
    chosen = rows["split"].to_numpy() == "train"
    moments = {name: moments_of(each[chosen]) for name, each in inputs.vectors.items()}
    moments["target"] = moments_of(rows["target"].to_numpy()[chosen][:, None])
    return Statistics(int(chosen.sum()), moments)


def evidence(rows: pa.Table | None = None, inputs: Batch | None = None, **changes: object) -> Evidence:
    """Of a model and posts without a leak, but for what is changed."""
    rows, inputs = rows or table(), inputs or batch()
    train = rows.filter(pc.equal(rows["split"], "train"))
    spec = fit(LabelSpec("log_views"), rows, rows["split"].to_numpy() == "train").to_dict()
    pairs = {"post_id": ["post-599"], "posted_at": [START + timedelta(hours=599)]}
    pairs |= {"neighbour_id": ["post-3"], "neighbour_posted_at": [START + timedelta(hours=3)]}
    usual: dict[str, object] = {
        "streams": STREAMS,
        "kind": "time_author",
        "sample": Sample(rows, inputs, rows.select(["post_id", "author_id", *COUNTS])),
        "sounds": rows.select(["post_id", "sound_id", "posted_at"]),
        "fitted": ((learnt(rows, inputs), statistics(rows, inputs)),),
        "label": refitted(spec, rows),
        "reference": train.select(["post_id"]),
        "neighbours": pa.table(pairs),
    }
    return Evidence(rows=rows, **(usual | changes))


def put(rows: pa.Table, column: str, values: dict[int, object]) -> pa.Table:
    """The rows with other values at some places of a column."""
    there = rows[column].to_pylist()
    for place, value in values.items():
        there[place] = value
    at = rows.column_names.index(column)
    return rows.set_column(at, ROWS.field(column), pa.array(there, ROWS.field(column).type))


def planted(stream: str, place: int, values: object) -> Batch:
    inputs = batch()
    inputs.vectors[stream][:, place] = values
    return inputs


def only(of: Evidence, check: str) -> str:
    """What the one finding says, which must be of that check."""
    found = audit(of)
    assert [each.check for each in found] == [check]
    with pytest.raises(LeakError) as refused:
        refuse(found)
    said = str(refused.value)
    assert "\n" not in said
    assert found[0].fix in said
    assert check in said
    return said
