"""The lines of viral/client/README.md run as they stand, against an endpoint at another port."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.client.endpoint import FakeEndpoint
from tests.conftest import PROJECT

README = (PROJECT / "viral" / "client" / "README.md").read_text(encoding="utf-8")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with the drafts of the README."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "drafts").mkdir()
    for name in ("draft.mp4", "other.mp4"):
        (tmp_path / name).write_bytes(name.encode())
    return tmp_path


def test_the_python_lines_run(here: Path, endpoint: FakeEndpoint, capsys: pytest.CaptureFixture[str]) -> None:
    lines = "\n".join(re.findall(r"```python\n(.*?)```", README, re.DOTALL))
    names: dict[str, object] = {}
    exec(lines.replace("http://127.0.0.1:8000", endpoint.url), names)
    output = capsys.readouterr().out
    assert "missing.mp4 missing_object cannot read missing.mp4: No such file or directory" in output
    assert "1 None missing_object" in output
    assert "other.mp4 {'draft.mp4': 0.5}" in output
    names["client"].close()  # type: ignore[attr-defined]


def test_the_commands_end_well(here: Path, endpoint: FakeEndpoint) -> None:
    (block,) = re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
    for command in block.splitlines():
        program, *arguments = shlex.split(command.replace("http://127.0.0.1:8000", endpoint.url))
        line = [str(Path(sys.executable).with_name(program)), *arguments]
        done = subprocess.run(line, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, ""), command
    assert len(endpoint.bodies()) == 2
