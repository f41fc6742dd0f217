"""Selection of the posts to process, by their attempts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest

from viral.errors import ConfigError
from viral.features.attempts import Retry, pending, quarantined
from viral.storage.store import Store
from viral.tables.bucketed import BucketedTable
from viral.tables.schemas import feature_schema

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SCHEMA = feature_schema([])


def attempt(post: str, number: int, status: str, reason: str | None = None, hours: float = -1) -> dict[str, Any]:
    return {
        "post_id": post,
        "attempt": number,
        "status": status,
        "reason": reason,
        "finished_at": NOW + timedelta(hours=hours),
        "feature_set": "f",
        "code_version": "0",
    }


@pytest.fixture
def table(folder_store: Store) -> BucketedTable:
    parts = BucketedTable(folder_store, "features/f", SCHEMA, key="post_id", newest_by="attempt", history=True)
    rows = [
        attempt("fine", 0, "ok"),
        attempt("cut", 0, "partial", "truncated"),
        attempt("gone", 0, "failed", "missing_object"),
        attempt("mended", 0, "failed", "missing_object"),
        attempt("mended", 1, "ok"),
        attempt("killer", 0, "failed", "crashed"),
        attempt("killer", 1, "failed", "timed_out"),
        attempt("killed once", 0, "failed", "out_of_memory"),
        attempt("just now", 0, "failed", "missing_object", hours=1),
    ]
    parts.append(pa.Table.from_pylist(rows, schema=SCHEMA), 0)
    return parts


def todo(table: BucketedTable, retry: Retry | None) -> dict[str, int]:
    names = ["cut", "fine", "gone", "just now", "killed once", "killer", "mended", "new"]
    selected = pending(pa.table({"post_id": names}), table, 0, 0, retry)
    return dict(zip(selected["post_id"].to_pylist(), selected["attempt"].to_pylist(), strict=True))


def test_without_retry_only_what_has_no_row(table: BucketedTable) -> None:
    assert todo(table, None) == {"new": 0}


def test_retry_adds_an_attempt_and_leaves_quarantine_alone(table: BucketedTable) -> None:
    assert todo(table, Retry(NOW)) == {"new": 0, "gone": 1, "killed once": 1}


def test_retry_by_reason(table: BucketedTable) -> None:
    assert todo(table, Retry(NOW, ("out_of_memory",))) == {"new": 0, "killed once": 1}


def test_what_is_partial_is_tried_again_where_its_reason_is_asked_for(table: BucketedTable) -> None:
    assert todo(table, Retry(NOW, ("truncated",))) == {"new": 0, "cut": 1}


def test_quarantine_opens_when_asked_for(table: BucketedTable) -> None:
    assert todo(table, Retry(NOW, ("timed_out",), quarantined=True)) == {"new": 0, "killer": 2}
    assert todo(table, Retry(NOW, quarantined=True)) == {"new": 0, "gone": 1, "killed once": 1, "killer": 2}


def test_what_this_run_has_tried_already_is_done(table: BucketedTable) -> None:
    assert "just now" not in todo(table, Retry(NOW))
    assert todo(table, Retry(NOW + timedelta(hours=2)))["just now"] == 1


def test_compaction_keeps_the_history_that_quarantine_needs(table: BucketedTable) -> None:
    table.append(pa.Table.from_pylist([attempt("other", 0, "ok")], schema=SCHEMA), 0)
    table.merge(None, 0, 0)
    assert quarantined(table.versions()).to_pylist() == ["killer"]


def test_no_table_yet(folder_store: Store) -> None:
    empty = BucketedTable(folder_store, "features/none", SCHEMA, key="post_id", newest_by="attempt", history=True)
    assert len(todo(empty, None)) == len(todo(empty, Retry(NOW))) == 8


def test_a_reason_that_no_post_can_have() -> None:
    with pytest.raises(ConfigError, match=r"'bored'.*unreadable"):
        Retry(NOW, ("bored",))
