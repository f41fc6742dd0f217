"""Bad input of the commands: one line on stderr, exit status 2, nothing half-written."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.media.streams import copy_streams, kinds
from viral.storage.store import Store


def assert_refused(done: subprocess.CompletedProcess[str], message: str, status: int = 2) -> None:
    assert message in done.stderr
    assert (done.returncode, done.stdout) == (status, "")
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1, done.stderr


def written(root: Path) -> list[str]:
    """Keys in a root, except the run log."""
    return [info.key for info in Store(root).objects("") if not info.key.startswith("history/")]


@pytest.mark.parametrize("command", ["ingest", "label", "backfill", "train", "evaluate", "score"])
def test_a_root_that_does_not_exist(viral, command):
    more = {"ingest": ["csv", "x.csv"], "train": ["fusion"], "score": ["--all"]}.get(command, [])
    assert_refused(viral(command, *more, "--root", "/there/is/nothing"), "the root /there/is/nothing does not exist")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["backfill", "--feature-set", "heavy"], "heavy"),
        (["backfill", "--feature-set", "nothing.yaml"], "nothing.yaml"),
        (["backfill"], "is empty: ingest some first (viral ingest)"),
        (["label"], "is empty: ingest some first (viral ingest)"),
        (["train", "fusion"], "there is no table features/light-"),
        (["train", "fusion", "--name", "a/b"], "'a/b' is not a valid name"),
        (["train", "fusion", "--gate", "caption"], "--gate takes EXTRACTOR=WEIGHT"),
        (["train", "sound", "--continue-from", "hum/2"], "there is no model hum"),
        (["evaluate"], "there is no model fusion"),
        (["evaluate", "--model", "../x"], "is not a valid name"),
        (["score"], "name FILES to score, or --all"),
        (["score", "--all"], "there is no model fusion"),
        (["score", "x.mp4", "--model", "a b"], "'a b' is not a valid name"),
    ],
)
def test_an_empty_root(viral, tmp_path, arguments, message):
    assert_refused(viral(*arguments, "--root", tmp_path), message)
    assert written(tmp_path) == []


def test_a_csv_without_ids(viral, tmp_path):
    (tmp_path / "p.csv").write_text("user,views\n1,2\n")
    (tmp_path / "root").mkdir()
    assert_refused(
        viral("ingest", "csv", tmp_path / "p.csv", "--root", tmp_path / "root"),
        "no column that is called like an identifier of posts: name it (--map post_id=NAME; "
        "--dry-run 3 then shows a map to start from), or write a map (--map-file). It has: user, views",
    )
    assert written(tmp_path / "root") == []


def test_files_that_are_not_there(viral, tmp_path):
    assert_refused(viral("ingest", "csv", tmp_path / "no.csv", "--root", tmp_path), "there is no file or folder")


def test_a_model_and_the_table_of_another_feature_set(viral, flow):
    root = flow.store.root
    full = ["--feature-set", "full", "--weights", "random"]
    assert_refused(
        viral("score", "--all", "--model", "fused", *full, "--root", root),
        f"model fused/1 was trained on feature set light-{flow.feature_set.fingerprint}, not on full-",
    )
    assert_refused(viral("train", "fusion", *full, "--root", root), f"there are light-{flow.feature_set.fingerprint}")
    assert_refused(
        viral("train", "fusion", "--label", "daily_views", "--root", root), "there is no table labels/daily_views"
    )
    assert_refused(viral("train", "fusion", "--gate", "smell=1", "--root", root), "fixed gates need a weight")
    assert not any(flow.store.objects("runs"))
    assert_refused(viral("score", "--all", "--model", "fused/7", "--root", root), "model fused has no version 7")


def test_weights_for_a_set_of_ones_own(viral, tmp_path):
    (tmp_path / "set.yaml").write_text("{name: mine, extractors: [acoustics]}")
    done = viral("backfill", "--root", tmp_path, "--feature-set", tmp_path / "set.yaml", "--weights", "random")
    assert done.returncode == 2
    assert done.stderr == f"error: --weights is for the named sets: write weights into {tmp_path / 'set.yaml'}\n"


def test_videos_that_are_none(viral, flow, tmp_path):
    notes = tmp_path / "notes.txt"
    notes.write_text("not a video")
    files = (notes, tmp_path / "no.mp4", tmp_path)
    done = viral("score", *files, "--model", "fused", "--root", flow.store.root)
    for file, reason in zip(files, ("unreadable", "missing_object", "missing_object"), strict=True):
        assert_refused(done, f"{file}: ")
        assert f"({reason})" in done.stderr


def test_a_good_file_among_bad_ones_is_scored(viral, flow, clips, tmp_path):
    (tmp_path / "notes.txt").write_text("not a video")
    good = clips[0]
    done = viral("score", tmp_path / "notes.txt", good, "--model", "fused", "--root", flow.store.root)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert str(good) in done.stdout
    assert "P(viral)" in done.stdout


def test_a_file_with_nothing_to_score_costs_no_other(viral, flow, clips, tmp_path):
    """A model of the sound alone, and a clip without sound between two that have it."""
    shutil.copytree(flow.store.root, tmp_path / "root")
    root = ["--root", tmp_path / "root"]
    assert viral("train", "audio", "--epochs", "1", "--workers", "0", *root).returncode == 0
    silent = copy_streams(clips[0], "video", tmp_path)
    loud = [clip for clip in clips if "audio" in kinds(clip)][:2]
    for command in ("score", "explain"):
        done = viral(command, loud[0], silent, loud[1], "--model", "audio", *root)
        assert done.returncode == 2
        assert done.stderr.startswith("error: 1 of 3 files have no score: ")
        assert "there is nothing to score" in done.stderr
        assert done.stderr.count("\n") == 1
        assert [str(clip) in done.stdout for clip in (*loud, silent)] == [True, True, False]


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
    rows = (f"post-{n},{os.urandom(400).hex()}" for n in range(6000))
    (tmp_path / "p.csv").write_text("\n".join(["post_id,caption", *rows]))
    done = viral("ingest", "csv", tmp_path / "p.csv", "--root", small_disk)
    assert_refused(done, "no space left on the device")
    assert not [key for key in written(small_disk) if not key.startswith("staging/")]
    assert not list(small_disk.rglob("*.tmp"))
