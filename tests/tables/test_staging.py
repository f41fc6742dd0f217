"""Folders for the intermediate files of one run."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from viral.storage.store import Store
from viral.tables.staging import SILENCE_SECONDS, staging_folder


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


OWNER = """
import sys, time
from viral.storage.store import Store
from viral.tables.staging import staging_folder
store = Store(sys.argv[1])
with staging_folder(store, "ingest") as folder:
    store.write(f"{folder}/parsed/x", b"1")
    print(folder, flush=True)
    time.sleep(600)
"""


def test_the_next_run_removes_what_a_killed_one_left_and_nothing_else(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.write("staging/ingest-0123456789abcdef/posts/x", b"1")  # as older code left it
    with subprocess.Popen([sys.executable, "-c", OWNER, str(tmp_path)], stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        folder = owner.stdout.readline().strip()
        with staging_folder(store, "ingest"):
            assert store.exists(f"{folder}/parsed/x")
            assert list(store.objects("staging/ingest-0123456789abcdef")) == []
        owner.kill()
        owner.wait()
    assert store.exists(f"{folder}/parsed/x")
    with staging_folder(store, "fetch"):
        assert list(store.objects(folder)) == []


@pytest.mark.parametrize(("silence", "stays"), [(SILENCE_SECONDS - 60, True), (SILENCE_SECONDS + 60, False)])
def test_a_run_elsewhere_is_left_alone_until_it_was_silent_for_long(
    any_store: Store, silence: float, stays: bool
) -> None:
    owner = {"boot": "another", "pids": "pid:[1]", "started": 1, "pid": 1, "host": "far", "at": time.time() - silence}
    any_store.write("staging/ingest-far/_owner.json", json.dumps(owner).encode())
    any_store.write("staging/ingest-far/parsed/x", b"1")
    with staging_folder(any_store, "ingest"):
        assert any_store.exists("staging/ingest-far/parsed/x") is stays
