"""`viral tables`: the tables of a root."""

from __future__ import annotations

import click

from viral.console.options import root_options
from viral.console.output import to_json
from viral.errors import UsageError
from viral.queries.catalog import CatalogTable, catalog
from viral.storage.store import Store

_MIB = 1 << 20


@click.command()
@click.argument("name", required=False)
@root_options
def command(name: str | None, root: str, as_json: bool, debug: bool) -> None:
    """List the tables of the root with rows, columns and size, or the columns of table NAME.

    Rows are those stored: until files are merged, several may have one key, of which `viral query` shows the newest.
    """
    del debug  # handled by the caller of all commands
    tables = catalog(Store.open(root))
    if name is not None and name not in tables:
        raise UsageError(f"there is no table {name}: there are {', '.join(tables) or 'none'}")
    shown = list(tables.values()) if name is None else [tables[name]]
    if as_json:
        click.echo(to_json({"tables": [_values(table) for table in shown]}))
    elif name is None:
        for line in _lines(shown):
            click.echo(line)
    else:
        width = max(map(len, shown[0].columns))
        for column, kind in shown[0].columns.items():
            click.echo(f"{column:<{width}}  {kind}")


def _values(table: CatalogTable) -> dict[str, object]:
    return {"name": table.name, "rows": table.rows, "bytes": table.bytes, "columns": table.columns}


def _lines(tables: list[CatalogTable]) -> list[str]:
    width = max(len("table"), *(len(table.name) for table in tables)) if tables else len("table")
    return [
        f"{'table':<{width}}  {'rows':>12}  {'MiB':>10}  columns",
        *(f"{t.name:<{width}}  {t.rows:>12,}  {t.bytes / _MIB:>10.1f}  {len(t.columns)}" for t in tables),
    ]
