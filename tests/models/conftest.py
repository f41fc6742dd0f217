"""Posts with streams of random vectors."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pytest
import torch

from viral.datasets.streams import Stream
from viral.tables.schemas import LABELS, VECTOR

STREAMS = (Stream("metadata", "metadata", 5), Stream("caption", "text", 7), Stream("acoustics", "audio", 3))


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """At this size a second thread only waits, for long where the cores are shared."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def streams() -> tuple[Stream, ...]:
    return STREAMS


def labelled(count: int, *, seed: int = 0, absent: float = 0.3, split: str = "train") -> pa.Table:
    """Rows as `LabelledFeatures.read` returns them; all have the first stream."""
    rng = np.random.default_rng(seed)
    vectors = {stream.name: rng.normal(size=(count, stream.dim)).astype(np.float32) for stream in STREAMS}
    target = vectors["metadata"][:, 0] + 0.1 * rng.normal(size=count)
    columns = {
        "post_id": [f"post {number}" for number in range(count)],
        "author_id": [None] * count,
        "posted_at": [datetime(2025, 1, 1, tzinfo=UTC)] * count,
        "split": [split] * count,
        "target": 3 + 2 * target,
        "is_viral": target > 0.5,
        "likes_rate": (target - 2).astype(np.float32),
        "comments_rate": [None if number % 3 else -1.0 for number in range(count)],
        "shares_rate": [None] * count,
    }
    table = pa.table({name: pa.array(values, LABELS.field(name).type) for name, values in columns.items()})
    for index, stream in enumerate(STREAMS):
        absent_rows = rng.random(count) < (absent if index else 0)
        rows = [None if skip else row for skip, row in zip(absent_rows, vectors[stream.name], strict=True)]
        table = table.append_column(stream.name, pa.array(rows, VECTOR))
    return table


@pytest.fixture
def make_rows() -> Callable[..., pa.Table]:
    return labelled
