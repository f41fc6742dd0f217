"""Which tables and columns an SQL query reads, by DuckDB's own parser."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from viral.errors import UsageError

if TYPE_CHECKING:
    import duckdb


@dataclass(frozen=True)
class References:
    """Names in a query, in lower case.

    Attributes:
        tables: names of tables, and of the query's own subqueries.
        columns: all names that may be columns; None: all columns of its tables, as of a `*`.
    """

    tables: frozenset[str]
    columns: frozenset[str] | None


def references(connection: duckdb.DuckDBPyConnection, sql: str) -> References:
    """Parse a query.

    Raises:
        UsageError: it is not one SELECT statement, or its syntax is wrong.
    """
    row = connection.execute("SELECT json_serialize_sql(?::VARCHAR)", [sql]).fetchone()
    assert row is not None
    parsed = json.loads(row[0])
    if parsed["error"]:
        message = str(parsed["error_message"]).splitlines()[0]
        raise UsageError("a query is a SELECT" if parsed["error_type"] == "not implemented" else message)
    if len(parsed["statements"]) != 1:
        raise UsageError(f"a query is one SELECT, not {len(parsed['statements'])}: leave out the others")
    nodes = list(_nodes(parsed))
    tables = {str(node["table_name"]).lower() for node in nodes if node.get("type") == "BASE_TABLE"}
    aliases = {str(node["alias"]).lower() for node in nodes if node.get("type") == "BASE_TABLE"}
    columns = {
        name.lower() for node in nodes for name in (*node.get("column_names", ()), *node.get("using_columns", ()))
    }
    whole = any(node.get("class") == "STAR" or node.get("ref_type") == "NATURAL" for node in nodes)
    # A table's name in place of a column is its whole row.
    rows = {node["column_names"][0].lower() for node in nodes if len(node.get("column_names", ())) == 1}
    return References(frozenset(tables), None if whole or rows & (tables | aliases) else frozenset(columns))


def _nodes(value: Any) -> Iterator[dict[str, Any]]:
    """Yield all objects of a JSON value."""
    if isinstance(value, dict):
        yield value
    for child in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _nodes(child)
