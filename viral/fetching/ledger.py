"""The ledger: what became of each address, written the moment it is known."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

import pyarrow as pa

from viral.fetching.fetch import Outcome
from viral.storage.store import Store
from viral.tables.places import fetches_table
from viral.tables.schemas import FETCHES

FOLD = 500  # rows that lie as a file each until they are folded: as many are written twice, as many files are listed


class Ledger:
    """Adds rows, each kept before the next: a kill costs what is on its way, never what is done.

    Every FOLD rows are written again as one, then the single ones deleted: safe to interrupt at any moment.

    Args:
        store: where.
        bits: buckets of the folded parts, as `Parts` has them.
    """

    def __init__(self, store: Store, bits: int) -> None:
        self.store, self.table, self.bits = store, fetches_table(store), bits
        self._rows: list[Mapping[str, Any]] = []
        self._keys: list[str] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.fold()

    def add(self, outcome: Outcome) -> None:
        """Keep one outcome."""
        row = {name: getattr(outcome, name) for name in FETCHES.names}
        self._keys += self.table.append(_rows([row]), self.bits)
        self._rows.append(row)
        if len(self._rows) >= FOLD:
            self.fold()

    def fold(self) -> None:
        """Write the single rows as one part a bucket."""
        if len(self._rows) > 1:
            kept = set(self.table.append(_rows(self._rows), self.bits))
            self.store.delete([key for key in self._keys if key not in kept])
        self._rows, self._keys = [], []


def _rows(rows: list[Mapping[str, Any]]) -> pa.Table:
    return pa.Table.from_pylist([dict(row) for row in rows], schema=FETCHES)
