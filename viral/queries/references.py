"""Which tables and columns an SQL query reads, by DuckDB's own parser."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from viral.errors import UsageError

if TYPE_CHECKING:
    import duckdb

# Their columns may be meant by their place, or by names that are no references: all of them are read.
_WHOLE_CLASSES = ("STAR", "POSITIONAL_REFERENCE")


@dataclass(frozen=True)
class References:
    """Names in a query, in lower case.

    Attributes:
        tables: names of tables, and of the query's own subqueries.
        columns: all names that may be columns; None: probably all columns of its tables, as of a `*`.
        functions: whether it calls functions in place of tables, which may read any.
        shows: whether it asks for the columns of a table or the names of all (DESCRIBE, SHOW).
    """

    tables: frozenset[str]
    columns: frozenset[str] | None
    functions: bool
    shows: bool


def references(connection: duckdb.DuckDBPyConnection, sql: str) -> References:
    """Parse a query.

    Raises:
        UsageError: it is not one SELECT statement, its syntax is wrong, or it is nested too deeply.
    """
    ((text,),) = connection.execute("SELECT json_serialize_sql(?::VARCHAR)", [sql]).fetchall()
    try:
        parsed = json.loads(text)
    except RecursionError as error:
        raise UsageError("the query is nested too deeply") from error
    if parsed["error"]:
        kind, message = parsed["error_type"], str(parsed["error_message"]).splitlines()[0]
        raise UsageError("a query is a SELECT (a PIVOT with IN (…))" if kind == "not implemented" else message)
    if (count := len(parsed["statements"])) != 1:
        raise UsageError(f"a query is one SELECT, not {count}")
    nodes = list(_nodes(parsed))
    tables = [node for node in nodes if node.get("type") == "BASE_TABLE"]
    columns = {
        name.lower() for node in nodes for name in (*node.get("column_names", ()), *node.get("using_columns", ()))
    }
    names = {str(table[name]).lower() for table in tables for name in ("table_name", "alias")}
    whole = (
        any(node.get("class") in _WHOLE_CLASSES or node.get("ref_type") == "NATURAL" for node in nodes)
        or any(node.get("type") == "PIVOT" for node in nodes)
        or any(table["column_name_alias"] for table in tables)
        or any(node["column_names"][-1].lower() in names for node in nodes if node.get("column_names"))
    )
    return References(
        frozenset(str(table["table_name"]).lower() for table in tables),
        None if whole else frozenset(columns),
        functions=any(node.get("type") == "TABLE_FUNCTION" for node in nodes),
        shows=any(node.get("show_type") in ("DESCRIBE", "SHOW_SPECIAL", "SHOW_FROM") for node in nodes),
    )


def _nodes(value: Any) -> Iterator[dict[str, Any]]:
    """Yield all objects of a JSON value."""
    left = [value]
    while left:
        found = left.pop()
        if isinstance(found, dict):
            yield found
            left += found.values()
        elif isinstance(found, list):
            left += found
