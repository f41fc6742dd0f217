"""Run SQL over the tables of a root."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

import pyarrow as pa
import pyarrow.parquet as pq

from viral.errors import UsageError
from viral.queries.catalog import CatalogTable, catalog
from viral.queries.references import references
from viral.storage.store import Store, one_line
from viral.storage.temporary import remove_abandoned, temporary_folder

if TYPE_CHECKING:
    import duckdb

PREFIX = "viral-query-"
_BATCH_ROWS = 10_000  # of a result that is read in parts
_NOT_READ = "viral has not read the column"


class Queries:
    """SQL (DuckDB's) over the tables of a root, of which each key has one row, the newest.

    A table is read when the first query names it, bucket by bucket by the library's own reader, with the columns that
    the query names, into a temporary file. It is read again for a query that names other columns. `close` removes these
    files.

    Args:
        store: the root.

    Attributes:
        tables: what can be queried, by name.
    """

    def __init__(self, store: Store) -> None:
        remove_abandoned(PREFIX)
        self.tables = catalog(store)
        with ExitStack() as stack:
            self._folder = stack.enter_context(temporary_folder(PREFIX))
            # The first has all tables and no rows: it checks a query before anything is read.
            self._shapes, self._rows = (stack.enter_context(_connect()) for _ in range(2))
            self._loaded: dict[str, frozenset[str]] = {}
            for table in self.tables.values():
                empty = self._folder / f"{table.number}.empty"
                pq.write_table(table.table.schema.empty_table(), empty)
                self._shapes.execute(_view(table, dict.fromkeys(table.columns, ""), table.columns, empty))
            self._types = {name: self._types_of(name) for name in self.tables}
            for connection in (self._shapes, self._rows):
                for setting in _settings(self._folder):
                    connection.execute(f"SET {setting}")
            self._exit = stack.pop_all()

    def _types_of(self, name: str) -> dict[str, str]:
        """DuckDB's type of each column of a table."""
        rows = self._shapes.execute(f"DESCRIBE {_name(name)}").fetchall()
        return {row[0]: row[1] for row in rows}

    def sql(self, text: str) -> pa.Table:
        """Run a query and return its result, which has to fit in memory.

        Raises:
            UsageError: it is wrong, or is no SELECT; the message is one line.
        """
        return self.batches(text).read_all()

    def batches(self, text: str) -> pa.RecordBatchReader:
        """Run a query and read its result in parts, to the end before the next query. Raises as `sql` does."""
        with _one_line_errors(self.tables):
            found = references(self._shapes, text)
            self._shapes.sql(text)
            named = found.tables & {name.lower() for name in self.tables}
            if found.shows or not (named or found.functions):
                return _distinct(self._shapes.sql(text).to_arrow_reader(_BATCH_ROWS))
            try:
                return self._run(text, named, found.columns)
            except _duckdb_error() as error:
                if _NOT_READ not in str(error):
                    raise
            return self._run(text, named, None)

    def _run(self, text: str, tables: frozenset[str], columns: frozenset[str] | None) -> pa.RecordBatchReader:
        for table in self.tables.values():
            if table.name.lower() in tables:
                self._load(table, columns)
        reader: pa.RecordBatchReader = self._rows.sql(text).to_arrow_reader(_BATCH_ROWS)
        return _distinct(reader)

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
        wanted = {name for name in table.columns if names is None or name.lower() in names} | {table.table.key}
        loaded = self._loaded.get(table.name, frozenset())
        if loaded >= wanted:
            return
        columns = [name for name in table.columns if name in wanted | loaded]
        file = self._folder / f"{table.number}-{len(columns)}.parquet"
        schema = pa.schema([table.table.schema.field(name) for name in columns])
        with pq.ParquetWriter(file, schema, compression="zstd") as writer:
            for rows in table.table.scan(columns):
                writer.write_table(rows.select(columns).cast(schema))
        self._rows.execute(_view(table, self._types[table.name], columns, file))
        if loaded:
            (self._folder / f"{table.number}-{len(loaded)}.parquet").unlink()
        self._loaded[table.name] = frozenset(columns)


def query(store: Store) -> Queries:
    """Open the tables of a root for SQL: `with viral.query(store) as root: root.sql("SELECT …")`."""
    return Queries(store)


def _connect() -> duckdb.DuckDBPyConnection:
    import duckdb

    return duckdb.connect()


def _duckdb_error() -> type[Exception]:
    """DuckDB's base class of errors; the package takes a moment to load."""
    import duckdb

    return duckdb.Error


def _settings(folder: Path) -> tuple[str, ...]:
    """Settings of DuckDB that restrict a query to the temporary files, and stop it from downloading anything."""
    return (
        f"temp_directory = {_text(str(folder))}",
        f"allowed_directories = [{_text(str(folder))}]",
        "enable_external_access = false",
        "autoinstall_known_extensions = false",
        "python_enable_replacements = false",
        "TimeZone = 'UTC'",
        "lock_configuration = true",
    )


def _view(table: CatalogTable, types: Mapping[str, str], columns: Iterable[str], file: Path) -> str:
    """Statement that makes a view of all columns of a table, of which a file holds some.

    The others raise an error when a query reads them: it has meant them without naming them.
    """
    held = set(columns)
    parts = [
        _name(name) if name in held else f"CAST(error({_text(f'{_NOT_READ} {name}')}) AS {kind}) AS {_name(name)}"
        for name, kind in types.items()
    ]
    select = f"SELECT {', '.join(parts)} FROM read_parquet({_text(str(file))})"  # noqa: S608 - all of it is quoted
    return f"CREATE OR REPLACE VIEW {_name(table.name)} AS {select}"


def _name(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _text(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _distinct(reader: pa.RecordBatchReader) -> pa.RecordBatchReader:
    """Append a number to each name that an earlier column has, as those of a join may."""
    names: list[str] = []
    for name in reader.schema.names:
        others = (f"{name}_{number}" for number in range(1, len(reader.schema) + 1))
        taken = (*reader.schema.names, *names)
        names.append(name if name not in names else next(other for other in others if other not in taken))
    schema = pa.schema([field.with_name(name) for field, name in zip(reader.schema, names, strict=True)])
    return pa.RecordBatchReader.from_batches(schema, _checked(reader, schema))


def _checked(reader: pa.RecordBatchReader, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    """Yield batches, whose computation may still fail, with the names of a schema. Raises UsageError."""
    try:
        for batch in reader:
            yield pa.record_batch(batch.columns, schema=schema)
    except (pa.ArrowException, OSError) as error:  # as pyarrow calls the errors of DuckDB
        raise UsageError(_first_line(error)) from error


@contextmanager
def _one_line_errors(tables: Iterable[str]) -> Iterator[None]:
    try:
        yield
    except _duckdb_error() as error:
        message = _first_line(error)
        known = f": there are {', '.join(tables) or 'no tables'}" if message.startswith("Table with name") else ""
        raise UsageError(f"{message}{known}") from error


def _first_line(error: Exception) -> str:
    """DuckDB's message without its kind and the query below it."""
    message = re.split(r"\bLINE \d+:", one_line(error))[0]
    return message.partition(" Error: ")[2].strip() or message.strip()
