"""Posts tables made of a few numbers."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest

from viral.labels import AppliedLabel, FittedLabel, LabelSpec, fit
from viral.sources import read
from viral.tables.schemas import POSTS

START = datetime(2025, 1, 6, tzinfo=UTC)  # a Monday


def table(**columns: list[object]) -> pa.Table:
    """A posts table. `day` and `scraped_day` are days after START."""
    size = len(next(iter(columns.values())))
    for day, time in (("day", "posted_at"), ("scraped_day", "scraped_at")):
        if day in columns:
            columns[time] = [None if value is None else START + timedelta(days=value) for value in columns.pop(day)]
    values = {"post_id": [str(n) for n in range(size)], "source": ["test"] * size} | columns
    return pa.table({f.name: pa.array(values.get(f.name, [None] * size), f.type) for f in POSTS}, schema=POSTS)


@pytest.fixture
def make() -> Callable[..., pa.Table]:
    return table


@pytest.fixture
def label() -> Callable[..., tuple[FittedLabel, AppliedLabel]]:
    """Fits a definition on all rows, or those of `train`, and applies it to all."""

    def labelled(definition: str, posts: pa.Table, train=None, **spec) -> tuple[FittedLabel, AppliedLabel]:
        mask = np.ones(posts.num_rows, bool) if train is None else np.asarray(train, bool)
        fitted = fit(LabelSpec(definition, **spec), posts, mask)
        return fitted, fitted.apply(posts)

    return labelled


@pytest.fixture(scope="session")
def trending(shared_data) -> pa.Table:
    """The 1,000 posts of trending_dec2020, in the order of the file."""
    file = shared_data / "trending_dec2020" / "trending.json"
    return pa.concat_tables([batch.posts for batch in read(str(file), lambda path: file.open("rb"))])
