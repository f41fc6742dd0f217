"""The tables of the root for the pages, by SQL."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import streamlit as st

from serve.app.setup import current
from viral.errors import UsageError
from viral.queries.queries import Queries
from viral.storage.store import Store

FRESH_SECONDS = 60.0  # how old what a page shows of a table may be


def store() -> Store:
    """Return the store of the root."""
    return Store.open(current().root)


@dataclass
class _Shared:
    """Tables that all visitors share, one query at a time."""

    queries: Queries
    lock: threading.Lock = field(default_factory=threading.Lock)

    def close(self) -> None:
        """Remove the temporary files, when no query needs them."""
        with self.lock:
            self.queries.close()


@st.cache_resource(show_spinner=False, ttl=FRESH_SECONDS, on_release=_Shared.close)
def _shared(root: str) -> _Shared:
    return _Shared(Queries(Store.open(root)))


def sql(text: str) -> pa.Table:
    """Run a query over the tables of the root. Raises UsageError: a table is missing."""
    shared = _shared(current().root)
    with shared.lock:
        return shared.queries.sql(text)


def tables() -> set[str]:
    """Return the names of the tables that have rows."""
    return set(_shared(current().root).queries.tables)


def text(value: str) -> str:
    """Quote a value for SQL."""
    return "'" + value.replace("'", "''") + "'"


def posts_by_id(post_ids: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Return caption, page, author and counts of posts, by their identifier; without those that the root lacks."""
    if not post_ids:
        return {}
    names = ", ".join(map(text, post_ids))
    columns = "post_id, caption, page_url, author_id, posted_at, views, likes"
    try:
        rows = sql(f"SELECT {columns} FROM posts WHERE post_id IN ({names})")  # noqa: S608 - values are quoted
    except UsageError:  # a root without posts: a model may come from elsewhere
        return {}
    return {row["post_id"]: row for row in rows.to_pylist()}
