"""The commands of serve/app/README.md start the app, also on a root without a model."""

from __future__ import annotations

import re
import shlex
from itertools import pairwise
from pathlib import Path

from tests.app.conftest import app_process
from tests.conftest import PROJECT
from tests.jobs.conftest import Viral

README = (PROJECT / "serve" / "app" / "README.md").read_text(encoding="utf-8")


def test_its_commands_start_the_app(tmp_path: Path) -> None:
    blocks = "\n".join(re.findall(r"```sh\n(.*?)```", README, re.DOTALL))
    lines = [shlex.split(line) for line in blocks.splitlines() if line]
    (tmp_path / "root").mkdir()
    started = 0
    for words in lines:
        if words[:2] == ["viral", "app"]:
            options = [word for name, word in pairwise(words) if name == "--endpoint"]
            with app_process(tmp_path / "root", tmp_path / "log", *(("--endpoint", *options) if options else ())):
                started += 1
            assert "Traceback" not in (tmp_path / "log").read_text()
    assert (started, len(lines)) == (2, 3)  # the third installs the extra


def test_a_taken_port_and_a_missing_root_get_one_line(viral_here: Viral, tmp_path: Path) -> None:
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        done = viral_here("app", "--root", tmp_path, "--endpoint", "http://x", "--port", str(taken.getsockname()[1]))
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "is taken: choose another with --port" in done.stderr
    missing = viral_here("app", "--root", tmp_path / "none", "--endpoint", "http://x")
    assert (missing.returncode, missing.stderr.count("\n")) == (2, 1)
