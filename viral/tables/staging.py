"""Folders for the intermediate files of one run."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

from viral.storage.store import Store

_FOLDER, _TIME = "staging", "%Y%m%dT%H%M%SZ"
KEPT_FOR = timedelta(days=7)  # no run lasts as long, so the one that began a folder then was killed


@contextmanager
def staging_folder(store: Store, command: str) -> Iterator[str]:
    """Yield the prefix of a new folder, which no other run uses; delete it at the end.

    Folders that killed runs left `KEPT_FOR` ago are deleted, too.
    """
    now = datetime.now(UTC)
    for name in {info.key.split("/")[1] for info in store.objects(_FOLDER)}:
        if _is_abandoned(name, now):
            store.delete_below(f"{_FOLDER}/{name}")
    folder = f"{_FOLDER}/{command}-{now:{_TIME}}-{uuid.uuid4().hex[:12]}"
    try:
        yield folder
    finally:
        store.delete_below(folder)


def _is_abandoned(name: str, now: datetime) -> bool:
    """Whether the run began `KEPT_FOR` ago; so did those whose folders have no time in their names."""
    try:
        begun = datetime.strptime(name.split("-")[1], _TIME).replace(tzinfo=UTC)
    except (IndexError, ValueError):
        return True  # of an older version, which named them by their input
    return now - begun > KEPT_FOR
