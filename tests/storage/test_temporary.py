"""Temporary folders of this process and of those that were killed."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from viral.storage.temporary import remove_abandoned, temporary_folder

OWNER = """
import sys, time
from pathlib import Path
from viral.storage.temporary import temporary_folder
with temporary_folder("viral-test-", Path(sys.argv[1])) as folder:
    print(folder, flush=True)
    time.sleep(600)
"""


def test_a_folder_goes_once_its_owner_is_dead(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", OWNER, str(tmp_path)], stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        folder = Path(owner.stdout.readline().strip())
        remove_abandoned("viral-test-", tmp_path)
        assert folder.is_dir()
        owner.kill()
        owner.wait()
    assert folder.is_dir()
    remove_abandoned("viral-", tmp_path)
    assert not folder.exists()


def test_the_folder_of_a_live_owner_stays_whatever_its_process_id(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The owner may be in another container, whose process ids mean nothing here."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with temporary_folder("viral-video-") as folder:
        remove_abandoned("viral-video-")
        assert folder.is_dir()
    assert list(tmp_path.iterdir()) == []
