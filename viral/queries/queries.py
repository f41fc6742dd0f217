"""Run SQL over the tables of a root."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

import pyarrow as pa
import pyarrow.parquet as pq

from viral.errors import UsageError
from viral.queries.catalog import CatalogTable, catalog
from viral.queries.references import references
from viral.storage.store import Store, one_line
from viral.storage.temporary import temporary_folder

PREFIX = "viral-query-"
_BATCH_ROWS = 10_000  # of a result that is read in parts


class Queries:
    """SQL (DuckDB's) over the tables of a root, of which each key has one row, the newest.

    A table is read when the first query names it, bucket by bucket by the library's own reader, with the columns that
    the query names, into a temporary file: later queries see the same rows. `close` removes these files.

    Args:
        store: the root.

    Attributes:
        tables: what can be queried, by name.
    """

    def __init__(self, store: Store) -> None:
        import duckdb

        self.tables = catalog(store)
        self._exit = ExitStack()
        self._folder = self._exit.enter_context(temporary_folder(PREFIX))
        # The first has all columns and no rows: it checks a query before anything is read.
        self._shapes, self._rows = (self._exit.enter_context(duckdb.connect()) for _ in range(2))
        self._loaded: dict[str, frozenset[str]] = {}
        for table in self.tables.values():
            empty = self._folder / f"{table.name}.empty"
            pq.write_table(table.table.schema.empty_table(), empty)
            for connection in (self._shapes, self._rows):
                connection.execute(_view(table.name, empty))
        for connection in (self._shapes, self._rows):
            for setting in self._settings():
                connection.execute(f"SET {setting}")

    def _settings(self) -> tuple[str, ...]:
        """Settings of DuckDB: a query reads the tables of the root and nothing else, and nothing is downloaded."""
        return (
            f"temp_directory = {_text(self._folder)}",
            f"allowed_directories = [{_text(self._folder)}]",
            "enable_external_access = false",
            "autoinstall_known_extensions = false",
            "python_enable_replacements = false",
            "TimeZone = 'UTC'",
            "lock_configuration = true",
        )

    def sql(self, text: str) -> pa.Table:
        """Run a query and return its result, which has to fit in memory.

        Raises:
            UsageError: it is wrong, or is no SELECT; the message is one line.
        """
        return self.batches(text).read_all()

    def batches(self, text: str) -> pa.RecordBatchReader:
        """Run a query and read its result in parts. Raises as `sql` does."""
        import duckdb

        try:
            found = references(self._shapes, text)
            self._shapes.sql(text)
            for name in found.tables & self.tables.keys():
                self._load(self.tables[name], found.columns)
            reader: pa.RecordBatchReader = self._rows.sql(text).to_arrow_reader(_BATCH_ROWS)
        except duckdb.CatalogException as error:
            raise UsageError(f"{_first_line(error)}: there are {', '.join(self.tables) or 'no tables'}") from error
        except duckdb.Error as error:
            raise UsageError(_first_line(error)) from error
        names = _distinct(reader.schema.names)
        schema = pa.schema([field.with_name(name) for field, name in zip(reader.schema, names, strict=True)])
        return pa.RecordBatchReader.from_batches(schema, _checked(reader, schema))

    def close(self) -> None:
        """Remove the temporary files."""
        self._exit.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _load(self, table: CatalogTable, names: frozenset[str] | None) -> None:
        """Copy the named columns of a table into a file, unless an earlier query has done so."""
        wanted = [name for name in table.columns if names is None or name.lower() in names]
        loaded = self._loaded.get(table.name, frozenset())
        if loaded >= {table.table.key, *wanted}:
            return
        columns = [name for name in table.columns if name in {table.table.key, *wanted, *loaded}]
        file = self._folder / f"{table.name}-{len(columns)}.parquet"
        self._copy(table, columns, file)
        self._rows.execute(_view(table.name, file))
        self._loaded[table.name] = frozenset(columns)

    def _copy(self, table: CatalogTable, columns: Sequence[str], file: Path) -> None:
        schema = pa.schema([table.table.schema.field(name) for name in columns])
        with pq.ParquetWriter(file, schema, compression="zstd") as writer:
            for rows in table.table.scan(columns):
                writer.write_table(rows.select(columns).cast(schema))


def query(store: Store) -> Queries:
    """Open the tables of a root for SQL: `with viral.query(store) as root: root.sql("SELECT …")`."""
    return Queries(store)


def _distinct(names: Sequence[str]) -> list[str]:
    """Append a number to each name that an earlier column has, as those of a join may."""
    found: list[str] = []
    for name in names:
        others = (f"{name}_{number}" for number in range(1, len(names) + 1))
        found.append(name if name not in found else next(other for other in others if other not in (*names, *found)))
    return found


def _checked(reader: pa.RecordBatchReader, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    """Yield batches, whose computation may still fail, with the names of a schema. Raises UsageError."""
    try:
        for batch in reader:
            yield pa.record_batch(batch.columns, schema=schema)
    except (pa.ArrowException, OSError) as error:  # as pyarrow calls the errors of DuckDB
        raise UsageError(_first_line(error)) from error


def _view(name: str, file: Path) -> str:
    """Statement that makes a view of all columns of a file; names come from `catalog`."""
    return f'CREATE OR REPLACE VIEW "{name}" AS SELECT * FROM read_parquet({_text(file)})'  # noqa: S608 - no user's text


def _text(path: Path) -> str:
    """Write a path as a text of SQL."""
    return "'" + str(path).replace("'", "''") + "'"


def _first_line(error: Exception) -> str:
    """DuckDB's message without its kind and the query below it."""
    return one_line(error).partition("LINE 1:")[0].partition(" Error: ")[2].strip() or one_line(error)
