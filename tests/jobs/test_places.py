"""Odd places: working directories, temporary folders, locales, signals."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.conftest import Viral
from viral.storage.store import Store
from viral.tables.places import posts_table
from viral.tables.run_log import runs

VIRAL = str(Path(sys.executable).with_name("viral"))
STARTS_WITHIN = 200.0  # seconds; a busy machine starts Ray slowly


@pytest.fixture
def scraped(tmp_path: Path) -> Path:
    """A scrape with text of many scripts, and a root whose name has what URIs escape."""
    (tmp_path / "root é 漢 100%?+").mkdir()
    file = tmp_path / "scraped ünd 100%.jsonl"
    file.write_text(json.dumps({"id": "1", "desc": "naïve 漢字", "stats": {"playCount": 5}}) + '\n{"bad": "é"}\n')
    return file


def test_a_working_directory_full_of_traps_a_long_temporary_folder_and_no_locale(
    environment: dict[str, str], scraped: Path, tmp_path: Path
) -> None:
    """Modules of the same names, a temporary folder too long for a socket, and `LC_ALL=C` at once."""
    working = tmp_path / "working"
    (working / "jobs").mkdir(parents=True)
    for trap in ("viral.py", "numpy.py", "pyarrow.py", "json.py", "jobs/__init__.py", "jobs/ingest.py"):
        (working / trap).write_text("raise SystemExit('a trap was imported')\n")
    temporary = tmp_path / ("t" * 100)
    temporary.mkdir()
    root = tmp_path / "root é 漢 100%?+"
    done = subprocess.run(
        [VIRAL, "ingest", "tiktok_api", str(scraped), "--root", str(root)],
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
        timeout=STARTS_WITHIN,
        cwd=working,
        env={**environment, "TMPDIR": str(temporary), "LC_ALL": "C"},
    )
    assert done.returncode == 0, done.stderr
    assert "posts           1" in done.stdout
    assert posts_table(Store(root)).read(columns=["caption"])["caption"].to_pylist() == ["naïve 漢字"]
    assert list(temporary.iterdir()) == []


def test_a_root_whose_name_is_no_text(environment: dict[str, str], tmp_path: Path) -> None:
    root = os.fsencode(tmp_path) + b"/r\xff"
    Path(os.fsdecode(root)).mkdir()
    done = subprocess.run([VIRAL, "status", "--root", root], capture_output=True, check=False, env=environment)
    assert (done.returncode, done.stderr.count(b"\n")) == (2, 1)
    assert b"is not UTF-8: rename it" in done.stderr


@pytest.mark.parametrize("content", ["- a list\n", "just words", "sandbox: [1]", "\xff\xfe", "sandbx: {seconds: 3}"])
def test_settings_of_another_shape_are_one_line(
    viral_here: Viral, scraped: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str
) -> None:
    (tmp_path / "viral.yaml").write_text(content, encoding="latin-1")
    monkeypatch.chdir(tmp_path)
    done = viral_here("backfill", "--root", tmp_path / "root é 漢 100%?+")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    assert "viral.yaml" in done.stderr


@pytest.mark.slow
def test_sigterm_ends_a_command_with_one_line_and_status_says_how_to_go_on(
    environment: dict[str, str], tmp_path: Path
) -> None:
    root, temporary = tmp_path / "root", Path("/tmp", f"vt-{os.getpid()}")
    root.mkdir()
    temporary.mkdir()
    lines = (json.dumps({"id": f"post-{number}", "stats": {"playCount": 5}}) for number in range(300_000))
    (tmp_path / "many.jsonl").write_text("\n".join(lines))
    command = [VIRAL, "ingest", "tiktok_api", str(tmp_path / "many.jsonl"), "--root", str(root)]
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**environment, "TMPDIR": str(temporary)},
    ) as running:
        until = time.monotonic() + STARTS_WITHIN
        while not list(Store(root).objects("staging")) and running.poll() is None and time.monotonic() < until:
            time.sleep(0.1)
        running.send_signal(signal.SIGTERM)
        output, errors = running.communicate(timeout=STARTS_WITHIN)
    assert (running.returncode, output) == (143, ""), errors
    assert errors.strip() == "terminated: run the same command again to continue"
    assert list(temporary.iterdir()) == []
    temporary.rmdir()
    assert list(Store(root).objects("staging")) == []
    [run] = runs(Store(root))
    assert run.state == "interrupted"
    shown = subprocess.run([VIRAL, "status", "--root", str(root)], capture_output=True, text=True, check=True)
    assert "to go on, run viral ingest as before" in shown.stdout
