"""Denied videos: a private one ends as a row, lost credentials end the run."""

from __future__ import annotations

from pathlib import Path

import pytest

from viral.errors import AccessDeniedError, StorageError
from viral.features import access
from viral.features.access import MAX_DENIALS, AccessGuard
from viral.storage.store import Store

DENIED = AccessDeniedError("s3://b/x.mp4 is denied (AccessDenied)")


@pytest.fixture
def readable(monkeypatch: pytest.MonkeyPatch) -> dict[str, bool]:
    """Whether each video that was read can be read again."""
    answers: dict[str, bool] = {}
    monkeypatch.setattr(access, "is_readable", lambda store, uri: answers[uri])
    return answers


def test_private_videos_among_readable_ones(tmp_path: Path, readable: dict[str, bool]) -> None:
    guard = AccessGuard(Store(tmp_path))
    guard.read("s3://b/good.mp4")
    readable["s3://b/good.mp4"] = True
    for number in range(3 * MAX_DENIALS):
        guard.denied(f"s3://b/{number}.mp4", DENIED)


def test_what_could_be_read_before_cannot_now(tmp_path: Path, readable: dict[str, bool]) -> None:
    guard = AccessGuard(Store(tmp_path))
    guard.read("s3://b/good.mp4")
    readable["s3://b/good.mp4"] = False
    with pytest.raises(StorageError, match=r"and so is s3://b/good.mp4, which could be read before: renew the cred"):
        guard.denied("s3://b/next.mp4", DENIED)


def test_many_in_a_row_before_any_was_read(tmp_path: Path) -> None:
    guard = AccessGuard(Store(tmp_path))
    for number in range(MAX_DENIALS - 1):
        guard.denied(f"s3://b/{number}.mp4", DENIED)
        guard.read("s3://other/a.mp4")  # another bucket says nothing about this one
    with pytest.raises(StorageError, match=r"like the 9 videos before: .* --retry-failed --reason access_denied"):
        guard.denied("s3://b/last.mp4", DENIED)
