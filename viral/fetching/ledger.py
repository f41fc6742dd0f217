"""Ledger of fetched URLs, written after every URL."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

import pyarrow as pa

from viral.fetching.fetch import FetchResult
from viral.storage.store import Store
from viral.tables.places import fetches_table
from viral.tables.schemas import FETCHES

MAX_SINGLE_FILES = 500  # one-row files before a merge: each is a file to list and a row written twice


class Ledger:
    """Writer of the table of fetched URLs. Each result is written at once: a killed process loses only open fetches.

    After MAX_SINGLE_FILES results, the one-row files are merged. The merged files are written before the one-row files
    are deleted, so a merge may be interrupted at any time.

    Args:
        store: the root.
        log2_buckets: log2 of the number of buckets of the merged files, as in `BucketedTable`.
    """

    def __init__(self, store: Store, log2_buckets: int) -> None:
        self.store, self.table, self.log2_buckets = store, fetches_table(store), log2_buckets
        self._rows: list[Mapping[str, Any]] = []
        self._keys: list[str] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:  # after an error, the one-row files stay valid
            self.merge()

    def add(self, result: FetchResult) -> None:
        """Write one result."""
        row = {name: getattr(result, name) for name in FETCHES.names}
        self._keys += self.table.append(_table([row]), self.log2_buckets)
        self._rows.append(row)
        if len(self._rows) >= MAX_SINGLE_FILES:
            self.merge()

    def merge(self) -> None:
        """Replace the one-row files by one file per bucket."""
        if len(self._rows) > 1:  # one file needs no merge
            # The new file comes before the deletion: a kill in between leaves rows twice, which readers merge, and
            # loses none.
            merged = set(self.table.append(_table(self._rows), self.log2_buckets))
            self.store.delete([key for key in self._keys if key not in merged])
        self._rows, self._keys = [], []


def _table(rows: list[Mapping[str, Any]]) -> pa.Table:
    return pa.Table.from_pylist([dict(row) for row in rows], schema=FETCHES)
