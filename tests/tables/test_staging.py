"""Folders for the intermediate files of one run."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from viral.storage.store import Store
from viral.tables.staging import KEPT_FOR, staging_folder


def test_each_run_has_its_own(any_store: Store) -> None:
    with staging_folder(any_store, "ingest") as one, staging_folder(any_store, "ingest") as other:
        any_store.write(f"{one}/a", b"1")
        any_store.write(f"{other}/a", b"2")
        assert one != other
        assert any_store.read(f"{one}/a") == b"1"
    assert list(any_store.objects("")) == []


def test_it_goes_after_an_error_too(any_store: Store) -> None:
    with pytest.raises(ZeroDivisionError), staging_folder(any_store, "fetch") as folder:
        any_store.write(f"{folder}/a", b"1")
        raise ZeroDivisionError
    assert list(any_store.objects("")) == []


def test_what_killed_runs_left_goes_after_a_week(any_store: Store) -> None:
    old = datetime.now(UTC) - KEPT_FOR
    names = {f"ingest-{old:%Y%m%dT%H%M%SZ}-aa": False, f"ingest-{datetime.now(UTC):%Y%m%dT%H%M%SZ}-bb": True}
    names["ingest-0123456789abcdef"] = False  # as older code named them
    for name in names:
        any_store.write(f"staging/{name}/parsed/x", b"1")
    with staging_folder(any_store, "ingest"):
        left = {info.key.split("/")[1] for info in any_store.objects("staging")}
    assert left == {name for name, stays in names.items() if stays}
