"""What a model said of its test posts, kept beside its scorecard: two models are compared post by post from it."""

from __future__ import annotations

import pyarrow as pa

from viral.errors import TableError
from viral.evaluation.splits import author_codes
from viral.registry.registry import Registry
from viral.storage.store import Store
from viral.tables.schemas import TESTED

FILE = "test.parquet"


def keep(store: Store, name: str, version: int, rows: pa.Table, *, label: str | None = None) -> None:
    """Keep the test posts among the judged rows, in the order of their ids.

    Args:
        store: the root.
        name: of the model.
        version: of the model.
        rows: posts with `split`, `author_id` and the columns of `TESTED` but `author`.
        label: the table whose test posts they are, if that is not the one that the model was trained on.
    """
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    tested = rows.filter(pc.equal(rows["split"], "test")).sort_by("post_id")
    tested = tested.append_column("author", pa.array(author_codes(tested)))
    sink = pa.BufferOutputStream()
    pq.write_table(tested.select(TESTED.names).cast(TESTED), sink)
    store.write(Registry.key(name, version, _file(label)), sink.getvalue())


def is_kept(store: Store, name: str, version: int, label: str) -> bool:
    """Whether it is known what a model says of the test posts of another label table than its own."""
    return store.exists(Registry.key(name, version, _file(label)))


def read(store: Store, name: str, version: int, *, label: str | None = None) -> pa.Table:
    """The rows of `TESTED`, by post id: of the model's own label table, or of another one.

    Raises:
        TableError: the model was not evaluated, or by a version of viral that kept none.
    """
    import pyarrow.parquet as pq

    try:
        return pq.read_table(pa.BufferReader(store.read(Registry.key(name, version, _file(label)))), schema=TESTED)
    except FileNotFoundError:
        how = f"evaluate it first (viral evaluate --model {name}/{version})"
        raise TableError(f"what {name}/{version} says of its test posts is not known: {how}") from None


def _file(label: str | None) -> str:
    return FILE if label is None else f"test-{label}.parquet"
