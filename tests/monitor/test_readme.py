"""The commands of viral/monitor/README.md."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

import pytest

from tests.conftest import PROJECT, Viral


def test_the_commands_of_the_readme(
    watched: Path, viral_here: Viral, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, source in (("logo", "examples"), ("clips", "clean"), ("scraped", "shown"), ("root", "root")):
        shutil.copytree(watched / source, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    text = (PROJECT / "viral" / "monitor" / "README.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
    for line in block.splitlines():
        if " target add " not in line:  # the fixture has run the same
            done = viral_here(*shlex.split(line)[1:], VIRAL_ROOT="root")
            assert done.returncode == 0, (line, done.stderr)
    assert len(done.stdout.splitlines()) == 2, "the last one lists a sighting in each video"
