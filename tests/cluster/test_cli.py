"""The `viral` command: quick, and one clear line where something is wrong."""

from __future__ import annotations

import dataclasses
import importlib
import json
import math
import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import click
import pytest

import viral
from cluster.cli import COMMANDS
from tests.conftest import Viral
from viral.console.output import print_summary, progress_bar

VIRAL = str(Path(sys.executable).with_name("viral"))


def call(*arguments: str, script: str | None = None) -> subprocess.CompletedProcess[str]:
    """Run `viral` with the arguments, or a script that uses its way of ending commands."""
    command = [VIRAL] if script is None else [sys.executable, "-c", script]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("VIRAL_")}
    return subprocess.run([*command, *arguments], capture_output=True, text=True, env=environment, check=False)


def test_help_lists_every_command() -> None:
    done = call("--help")
    assert done.returncode == 0
    for name, (_, text) in COMMANDS.items():
        assert f"  {name} " in done.stdout
        assert text.split()[0] in done.stdout


def test_help_loads_nothing_heavy() -> None:
    code = "import sys, cluster.cli\ntry: cluster.cli.main()\nexcept SystemExit: pass\nprint(*sys.modules)"
    loaded = set(call("--help", script=code).stdout.split())
    assert not {"pyarrow", "torch", "ray", "numpy", "boto3"} & loaded


def test_version() -> None:
    assert call("--version").stdout.strip().endswith(viral.__version__)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_says_how_it_is_used(name: str, viral_here: Viral) -> None:
    module = importlib.import_module(COMMANDS[name][0])
    assert isinstance(module.command, click.Command)
    done = viral_here(name, "--help")
    assert done.returncode == 0
    assert f" {name} " in done.stdout.splitlines()[0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("nonsense",), "error: there is no command 'nonsense': there are demo, ingest,"),
        (("trian",), "error: there is no command 'trian': did you mean train?\n"),
        (("train", "nothing"), "error: there is no command 'nothing': there are fusion, text,"),
        (("score", "a.mp4", "--author-followers", "many"), "'many' is not a count: write 25000 or 25K"),
        (("backfill", "--feature-set", "none.yaml", "--root", "/tmp"), "none.yaml: No such file or directory"),
        (("label", "--nonsense"), "No such option '--nonsense'"),
        (("label",), "error: name the root: --root, or VIRAL_ROOT"),
        (("label", "--root", "/there/is/nothing"), "error: the root /there/is/nothing does not exist: create it"),
    ],
)
def test_a_wrong_request_exits_2(arguments: tuple[str, ...], message: str, viral_here: Viral) -> None:
    done = viral_here(*arguments)
    assert done.returncode == 2
    assert message in done.stderr
    assert done.stdout == ""
    assert "Traceback" not in done.stderr


def test_an_empty_root_is_one_line(tmp_path: Path) -> None:
    done = call("label", "--root", str(tmp_path))
    assert done.returncode == 2
    assert done.stderr.startswith("error: the posts table of ")
    assert done.stderr.count("\n") == 1


ENDING = """
import sys, time, click
from cluster.cli import execute
from viral.errors import ConfigError, StorageError

@click.command()
@click.argument("how")
@click.option("--debug", is_flag=True)
def command(how, debug):
    if how == "usage":
        raise ConfigError("no such thing: choose another")
    if how == "storage":
        raise StorageError("no space left")
    if how == "bug":
        raise ZeroDivisionError("a mistake of ours")
    if how == "sleep":
        print("ready", flush=True)
        time.sleep(60)

execute(command)
"""


@pytest.mark.parametrize(
    ("how", "status", "message"),
    [
        ("well", 0, ""),
        ("usage", 2, "error: no such thing: choose another\n"),
        ("storage", 2, "error: no space left\n"),
    ],
)
def test_how_commands_end(how: str, status: int, message: str) -> None:
    done = call(how, script=ENDING)
    assert (done.returncode, done.stderr) == (status, message)


def test_debug_and_mistakes_show_the_trace() -> None:
    for arguments in (("usage", "--debug"), ("bug",)):
        done = call(*arguments, script=ENDING)
        assert done.returncode == 1
        assert done.stderr.startswith("Traceback")


def test_interrupted() -> None:
    running = subprocess.Popen(
        [sys.executable, "-c", ENDING, "sleep"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),  # ignored in a shell's background jobs
    )
    assert running.stdout is not None
    running.stdout.readline()
    running.send_signal(signal.SIGINT)
    _, message = running.communicate(timeout=30)
    assert running.returncode == 130
    assert message.strip() == "interrupted: run the same command again to continue"


@dataclasses.dataclass
class Summary:
    posts_done: int
    loss: float
    reasons: dict[str, int]
    warnings: list[str]


def test_a_summary_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    print_summary(Summary(1200, 0.123456, {"crashed": 2, "too_long": 1}, []), as_json=False)
    assert capsys.readouterr().out.splitlines() == [
        "posts done  1200",
        "loss        0.1235",
        "reasons     crashed: 2",
        "            too_long: 1",
        "warnings    -",
    ]


def test_a_summary_for_machines(capsys: pytest.CaptureFixture[str]) -> None:
    print_summary(Summary(1, math.nan, {"a": 1}, ["w"]), as_json=True)
    assert json.loads(capsys.readouterr().out, parse_constant=pytest.fail) == {
        "posts_done": 1,
        "loss": None,
        "reasons": {"a": 1},
        "warnings": ["w"],
    }


def test_the_bar_is_silent_where_there_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    update = progress_bar("backfill")
    for done in range(4):
        update(done, 3)
    assert capsys.readouterr().err == ""
