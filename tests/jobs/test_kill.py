"""Killed at any moment, the same command goes on: nothing lost, nothing twice, nothing left running."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.conftest import CORPUS_POSTS
from viral.features.feature_table import features_table
from viral.registry.registry import Registry
from viral.storage.store import Store

pytestmark = pytest.mark.slow
MARK = "MARK_OF_A_TEST"
WITHIN = 280.0  # seconds; a busy machine starts Ray slowly
GONE_WITHIN = 30.0
# These end a minute after their node: so long they try to tell the dead head of it.
RAYS_OWN = ("ray::DashboardAgent", "ray::RuntimeEnvAgent")
VOLATILE = ["finished_at", "stage_seconds"]


class Command:
    """`viral` as a process whose descendants are known by a mark in their environment."""

    def __init__(self, environment: dict[str, str], *arguments: str) -> None:
        self.mark = uuid.uuid4().hex
        self.process = subprocess.Popen(
            [str(Path(sys.executable).with_name("viral")), *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**environment, MARK: self.mark},
        )

    def wait_until(self, happened: Callable[[], object]) -> None:
        until = time.monotonic() + WITHIN
        while not happened():
            assert self.process.poll() is None, self.process.communicate()
            assert time.monotonic() < until, "it never happened"
            time.sleep(0.02)

    def descendants(self) -> dict[int, str]:
        """The command line of every process that carries the mark, by its id."""
        found = {}
        for folder in Path("/proc").iterdir():
            if folder.name.isdecimal():
                try:
                    if f"{MARK}={self.mark}".encode() in (folder / "environ").read_bytes():
                        found[int(folder.name)] = (folder / "cmdline").read_text().replace("\0", " ")
                except OSError:  # gone meanwhile
                    continue
        return found

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def end(self) -> dict[str, object]:
        """Wait for it to end well; the summary that it printed."""
        summary, errors = self.process.communicate(timeout=WITHIN)
        assert (self.process.returncode, errors) == (0, "")
        return json.loads(summary)


def left_of(command: Command) -> list[str]:
    """What still runs of it, when all had time to end."""
    until = time.monotonic() + GONE_WITHIN
    while True:
        left = [line for line in command.descendants().values() if not line.startswith(RAYS_OWN)]
        if not left or time.monotonic() > until:
            return left
        time.sleep(0.2)


@pytest.fixture
def start(environment) -> Iterator[Callable[..., Command]]:
    started = []

    def begin(*arguments: str | Path) -> Command:
        started.append(Command(environment, *map(str, arguments)))
        return started[-1]

    yield begin
    for command in started:
        for left in command.descendants():
            os.kill(left, signal.SIGKILL)
        command.process.communicate()


@pytest.fixture
def root(flow, tmp_path) -> Path:
    """A copy of the root of the corpus without the models."""
    shutil.copytree(flow.store.root, tmp_path / "root", ignore=shutil.ignore_patterns("models", "predictions"))
    return tmp_path / "root"


def test_a_backfill_goes_on(start, root, flow):
    store = Store.open(root)
    shutil.rmtree(root / "features")
    table = features_table(store, flow.feature_set)
    arguments = ("backfill", "--root", root, "--json")
    killed = start(*arguments)
    killed.wait_until(lambda: len(table.files()) >= 3)
    assert len(killed.descendants()) > 3
    killed.kill()
    assert left_of(killed) == []
    done = table.read().num_rows
    assert 0 < done < CORPUS_POSTS
    summary = start(*arguments).end()
    assert (summary["done_before"], summary["posts"], summary["failed"]) == (done, CORPUS_POSTS, 0)
    assert summary["ok"] + summary["partial"] == CORPUS_POSTS - done
    rows, whole = table.read(), features_table(flow.store, flow.feature_set).read()
    assert rows["post_id"].to_pylist() == sorted(set(rows["post_id"].to_pylist()))
    assert rows.drop_columns(VOLATILE).equals(whole.drop_columns(VOLATILE))
    assert table.stored_rows() == CORPUS_POSTS


def checkpoint(root: Path) -> bool:
    """Whether a checkpoint is there, and noted where a new driver looks for it."""
    noted = (path.read_text() for path in root.glob("runs/*/checkpoint_manager_snapshot.json"))
    return any("checkpoint_" in text for text in noted)


def weights(root: Path, model: object) -> bytes:
    return Registry(Store.open(root)).load(str(model)).weights


@pytest.fixture
def whole(flow) -> bytes:
    """The weights of a training that nobody killed, of the same seed, in another process."""
    return weights(flow.store.root, flow.trained.model)


@pytest.fixture
def train(flow) -> tuple[str, ...]:
    """The same training as a command."""
    return ("train", "fusion", "--epochs", str(flow.config.epochs), "--name", "m", "--json", "--root")


def test_a_training_goes_on_to_the_same_model_whatever_dies(start, root, train, whole):
    """The driver at the first checkpoint, then a worker of the run that goes on."""
    killed = start(*train, root)
    killed.wait_until(lambda: checkpoint(root))
    killed.kill()
    assert left_of(killed) == []
    assert Registry(Store.open(root)).names() == []
    running = start(*train, root)
    running.wait_until(lambda: workers_of(running))
    os.kill(workers_of(running)[0], signal.SIGKILL)
    summary = running.end()
    assert summary["resumed_at_epoch"] > 0
    assert weights(root, summary["model"]) == whole
    assert not any((root / "runs").rglob("*"))
    assert not any((root / "locks").rglob("*.json"))
    assert left_of(running) == []


def workers_of(command: Command) -> list[int]:
    return [pid for pid, line in command.descendants().items() if "RayTrainWorker" in line]
