"""Predictions for the test posts, stored beside a model's scorecard so that two models can be compared per post."""

from __future__ import annotations

import pyarrow as pa

from viral.errors import TableError
from viral.evaluation.splits import author_codes
from viral.registry.registry import Registry
from viral.storage.store import Store
from viral.tables.schemas import TEST_PREDICTIONS

FILE = "test.parquet"


def save(store: Store, name: str, version: int, rows: pa.Table, *, label: str | None = None) -> None:
    """Store the test posts among evaluated rows, sorted by post id.

    Args:
        store: the root.
        name: name of the model.
        version: version of the model.
        rows: posts with `split`, `author_id` and the columns of `TEST_PREDICTIONS` except `author`.
        label: label table of these posts, if it differs from the one that the model was trained on.
    """
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    tested = rows.filter(pc.equal(rows["split"], "test")).sort_by("post_id")
    # Codes, not names: a comparison needs to know which posts are of one author, and no more.
    tested = tested.append_column("author", pa.array(author_codes(tested)))
    sink = pa.BufferOutputStream()
    pq.write_table(tested.select(TEST_PREDICTIONS.names).cast(TEST_PREDICTIONS), sink)
    store.write(Registry.key(name, version, _file(label)), sink.getvalue())


def exists(store: Store, name: str, version: int, label: str) -> bool:
    """Return whether predictions for the test posts of another label table are stored."""
    return store.exists(Registry.key(name, version, _file(label)))


def read(store: Store, name: str, version: int, *, label: str | None = None) -> pa.Table:
    """Return the rows of `TEST_PREDICTIONS`, sorted by post id, for the model's own label table or another one.

    Raises:
        TableError: the model was not evaluated, or evaluated by a version of viral that stored no predictions.
    """
    import pyarrow.parquet as pq

    try:
        data = store.read(Registry.key(name, version, _file(label)))
    except FileNotFoundError:
        command = f"viral evaluate --model {name}/{version}"
        raise TableError(f"{name}/{version} has no stored test predictions: evaluate it first ({command})") from None
    return pq.read_table(pa.BufferReader(data), schema=TEST_PREDICTIONS)


def _file(label: str | None) -> str:
    return FILE if label is None else f"test-{label}.parquet"
