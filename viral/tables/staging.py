"""Folders for the intermediate files of one run."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from viral.errors import StorageError
from viral.storage.lock import announced, is_alive
from viral.storage.store import Store, read_json

FOLDER, _OWNER = "staging", "_owner.json"
# A machine that was out of reach for as long has lost its connections, and with them its run.
SILENCE_SECONDS = 3600.0


@contextmanager
def staging_folder(store: Store, command: str) -> Iterator[str]:
    """Yield the prefix of a new folder, which no other run uses; delete it at the end.

    Folders of killed runs are deleted, too.
    """
    # A killed run cannot clean up after itself: the next run of any command does it.
    for name in {info.key.split("/")[1] for info in store.objects(FOLDER)}:
        owner = read_json(store, f"{FOLDER}/{name}/{_OWNER}")
        if owner is None or not is_alive(owner, SILENCE_SECONDS):
            store.delete_below(f"{FOLDER}/{name}")
    folder = f"{FOLDER}/{command}-{uuid.uuid4().hex[:12]}"
    with announced(store, f"{folder}/{_OWNER}"):
        try:
            yield folder
        finally:
            with suppress(StorageError):  # the next run deletes it
                store.delete_below(folder)
