"""`viral query`: SQL over the tables of a root."""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import click
import pyarrow as pa
import pyarrow.parquet as pq

from viral.console.options import root_options
from viral.console.output import to_json
from viral.errors import ConfigError, UsageError
from viral.queries.queries import Queries
from viral.storage.local import atomic_write
from viral.storage.store import Store, one_line

MAX_SHOWN = 100  # rows on a terminal; --csv, --json and --parquet write all
_MAX_WIDTH = 40  # letters of a value on a terminal


@click.command()
@click.argument("sql")
@click.option("--csv", "as_csv", is_flag=True, help="Print all rows as CSV.")
@click.option("--parquet", "file", type=click.Path(dir_okay=False, path_type=Path), help="Write all rows to this file.")
@root_options
def command(sql: str, as_csv: bool, file: Path | None, root: str, as_json: bool, debug: bool) -> None:
    """Run a SELECT over the tables of the root (see `viral tables`), with one row per key, the newest.

    Without an option, the first rows are shown; with --json, each row is an object on a line of its own.
    """
    del debug  # handled by the caller of all commands
    if as_csv + as_json + (file is not None) > 1:
        raise ConfigError("--csv, --json and --parquet exclude each other: choose one")
    with Queries(Store.open(root)) as queries:
        reader = queries.batches(sql)
        if as_csv:
            _write_csv(reader)
        elif file is not None:
            _write_parquet(reader, file)
        elif as_json:
            for row in _rows(reader):
                click.echo(to_json(row))
        else:
            _show(reader)


def _rows(reader: pa.RecordBatchReader) -> Iterator[dict[str, Any]]:
    """Read rows as JSON has them."""
    for batch in reader:
        # Few at a time: as Python's objects, vectors take ten times their size.
        for start in range(0, batch.num_rows, MAX_SHOWN):
            try:
                rows = batch.slice(start, MAX_SHOWN).to_pylist(maps_as_pydicts="strict")
            except (OverflowError, ValueError, pa.ArrowException) as error:
                raise UsageError(
                    f"a value has no form here ({one_line(error)}): cast it, to VARCHAR for example"
                ) from error
            yield from ({name: plain(value) for name, value in row.items()} for row in rows)


def plain(value: Any) -> Any:
    """Convert a value to one that JSON has: times to ISO 8601, bytes to hexadecimal digits, decimals to numbers."""
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if hasattr(value, "isoformat"):
        return value.isoformat()
    if isinstance(value, pa.MonthDayNano):  # an interval
        return {"months": value.months, "days": value.days, "nanoseconds": value.nanoseconds}
    if isinstance(value, dict):
        return {str(name): plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)


def _write_csv(reader: pa.RecordBatchReader) -> None:
    """Print CSV, a null as nothing; lists and structures, for which it has no form, as JSON."""
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(reader.schema.names)
    for row in _rows(reader):
        writer.writerow([to_json(value) if isinstance(value, list | dict) else value for value in row.values()])


def _write_parquet(reader: pa.RecordBatchReader, file: Path) -> None:
    """Write the file as a whole; after an error there is none, or the one that was there before."""
    rows = 0
    try:
        with atomic_write(file) as part, pq.ParquetWriter(part, reader.schema, compression="zstd") as writer:
            for batch in reader:
                writer.write_batch(batch)
                rows += batch.num_rows
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise UsageError(f"Parquet has no form for a value ({one_line(error)}): cast it") from error
    except OSError as error:
        raise ConfigError(f"cannot write {file}: {one_line(error)}") from error
    click.echo(f"{rows} rows in {file}")


def _show(reader: pa.RecordBatchReader) -> None:
    """Print the first rows as aligned columns."""
    rows, more = list[list[str]](), False
    for row in _rows(reader):
        if len(rows) == MAX_SHOWN:
            more = True
            break
        rows.append([_cell(value) for value in row.values()])
    names = reader.schema.names
    widths = [max(map(len, column)) for column in zip(names, *rows, strict=True)]
    for row in [names, *rows]:
        click.echo("  ".join(f"{value:<{width}}" for value, width in zip(row, widths, strict=True)).rstrip())
    if more:
        click.echo(f"… more than {MAX_SHOWN} rows: --csv, --json or --parquet FILE give all")


def _cell(value: Any) -> str:
    text = "" if value is None else f"{value:.6g}" if isinstance(value, float) else str(value)
    text = "".join(sign if sign.isprintable() else " " for sign in " ".join(text.split()))
    return text if len(text) <= _MAX_WIDTH else f"{text[: _MAX_WIDTH - 1]}…"
