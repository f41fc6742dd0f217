"""Wrong requests of the commands: one clear line, exit status 2, nothing half-written."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from viral.storage.store import Store


def refused(done: subprocess.CompletedProcess[str], said: str, status: int = 2) -> None:
    assert said in done.stderr
    assert (done.returncode, done.stdout) == (status, "")
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1, done.stderr


def written(root: Path) -> list[str]:
    """What lies in a root, but for the records of what was tried."""
    return [info.key for info in Store(root).objects("") if not info.key.startswith("history/")]


@pytest.mark.parametrize("command", ["ingest", "label", "backfill", "train", "evaluate", "score"])
def test_a_root_that_does_not_exist(viral, command):
    more = {"ingest": ["csv", "x.csv"], "train": ["fusion"], "score": ["--all"]}.get(command, [])
    refused(viral(command, *more, "--root", "/there/is/nothing"), "the root /there/is/nothing does not exist")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["backfill", "--feature-set", "heavy"], "heavy"),
        (["backfill", "--feature-set", "nothing.yaml"], "nothing.yaml"),
        (["backfill"], "is empty: ingest some first (viral ingest)"),
        (["label"], "is empty: ingest some first (viral ingest)"),
        (["train", "fusion"], "there is no table features/light-"),
        (["train", "fusion", "--name", "a/b"], "'a/b' is no name"),
        (["train", "fusion", "--gate", "caption"], "--gate takes EXTRACTOR=WEIGHT"),
        (["train", "sound", "--continue-from", "hum/2"], "there is no model hum"),
        (["evaluate"], "there is no model fusion"),
        (["evaluate", "--model", "../x"], "is no name"),
        (["score"], "name FILES to score, or --all"),
        (["score", "--all"], "there is no model fusion"),
        (["score", "x.mp4", "--model", "a b"], "'a b' is no name"),
    ],
)
def test_an_empty_root(viral, tmp_path, arguments, said):
    refused(viral(*arguments, "--root", tmp_path), said)
    assert written(tmp_path) == []


def test_a_csv_without_ids(viral, tmp_path):
    (tmp_path / "p.csv").write_text("id,views\n1,2\n")
    (tmp_path / "root").mkdir()
    refused(viral("ingest", "csv", tmp_path / "p.csv", "--root", tmp_path / "root"), "has no column 'post_id'; map one")
    assert written(tmp_path / "root") == []


def test_files_that_are_not_there(viral, tmp_path):
    refused(viral("ingest", "csv", tmp_path / "no.csv", "--root", tmp_path), "there is no file or folder")


def test_a_model_and_the_table_of_another_feature_set(viral, tiktoks):
    root = tiktoks.store.root
    full = ["--feature-set", "full", "--weights", "random"]
    refused(
        viral("score", "--all", "--model", "tiktoks", *full, "--root", root),
        f"model tiktoks/1 was trained on feature set light-{tiktoks.feature_set.fingerprint}, not on full-",
    )
    refused(viral("train", "fusion", *full, "--root", root), f"there are light-{tiktoks.feature_set.fingerprint}")
    refused(viral("train", "fusion", "--label", "daily_views", "--root", root), "there is no table labels/daily_views")
    refused(viral("train", "fusion", "--gate", "smell=1", "--root", root), "fixed gates need a weight")
    assert not any(tiktoks.store.objects("runs"))
    refused(viral("score", "--all", "--model", "tiktoks/7", "--root", root), "model tiktoks has no version 7")


def test_weights_for_a_set_of_ones_own(viral, tmp_path):
    (tmp_path / "set.yaml").write_text("{name: mine, extractors: [acoustics]}")
    said = viral("backfill", "--root", tmp_path, "--feature-set", tmp_path / "set.yaml", "--weights", "random")
    assert said.returncode == 2
    assert said.stderr == f"error: --weights is for the named sets: write weights into {tmp_path / 'set.yaml'}\n"


def test_videos_that_are_none(viral, tiktoks, tmp_path):
    notes = tmp_path / "notes.txt"
    notes.write_text("not a video")
    files = (notes, tmp_path / "no.mp4", tmp_path)
    done = viral("score", *files, "--model", "tiktoks", "--root", tiktoks.store.root)
    for file, reason in zip(files, ("unreadable", "missing_object", "missing_object"), strict=True):
        refused(done, f"{file}: ")
        assert f"({reason})" in done.stderr


def test_a_good_file_among_bad_ones_is_scored(viral, tiktoks, shortest, shared_data, tmp_path):
    (tmp_path / "notes.txt").write_text("not a video")
    good = shared_data / "tiktok_videos" / "videos" / f"{shortest[0]}.mp4"
    done = viral("score", tmp_path / "notes.txt", good, "--model", "tiktoks", "--root", tiktoks.store.root)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert str(good) in done.stdout
    assert "P(viral)" in done.stdout


@pytest.fixture
def small_disk(tmp_path):
    """A folder on a disk of two megabytes."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("cannot mount a small disk here")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_no_space_left_on_the_device(viral, small_disk, tmp_path):
    rows = (f"{n},{os.urandom(400).hex()}" for n in range(6000))
    (tmp_path / "p.csv").write_text("\n".join(["post_id,caption", *rows]))
    done = viral("ingest", "csv", tmp_path / "p.csv", "--root", small_disk)
    refused(done, "no space left on the device")
    assert not [key for key in written(small_disk) if not key.startswith("staging/")]
    assert not list(small_disk.rglob("*.tmp"))
