"""Failed posts: listed, counted, tried again."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner

from jobs import backfill, failures, ingest
from jobs.ingesting.source import IngestSource
from viral.config import Settings
from viral.extractors.feature_set import FeatureSet
from viral.features.attempts import Retry
from viral.storage.store import Store

pytestmark = pytest.mark.usefixtures("ray_session")


def test_failures_are_listed_and_tried_again(
    tmp_path: Path, clips: list[Path], write_posts: Callable[..., Path]
) -> None:
    good, late, text = (tmp_path / name for name in ("good.mp4", "late.mp4", "text.mp4"))
    shutil.copyfile(clips[0], good)
    text.write_text("no video")
    (tmp_path / "root").mkdir()
    store, mini = Store.open(tmp_path / "root"), FeatureSet.from_dict({"name": "mini", "extractors": ["acoustics"]})
    posts = [{"id": path.stem, "desc": "", "createTime": 1_700_000_000} for path in (good, late, text)]
    ingest.run(store, IngestSource("tiktok_api", (str(write_posts(*posts)),), video_uri=f"{tmp_path}/{{post_id}}.mp4"))

    first = backfill.run(store, mini, Settings())
    assert (first.ok, first.failed, first.reasons) == (1, 2, {"missing_object": 1, "unreadable": 1})
    assert [warning.partition(":")[0] for warning in first.warnings] == ["1 post has no video file (missing_object)"]
    listed = {row["post_id"]: row["reason"] for row in failures.iter_failures(store, mini)}
    assert listed == {"late": "missing_object", "text": "unreadable"}

    shutil.copyfile(good, late)
    again = backfill.run(store, mini, Settings(), retry=Retry(datetime.now(UTC), ("missing_object",)))
    assert (again.done_before, again.ok, again.failed) == (2, 1, 0)
    assert again.warnings == ["1 post failed in an earlier run: see viral failures; --retry-failed tries again"]
    everything = backfill.run(store, mini, Settings(), retry=Retry(datetime.now(UTC)))
    assert (everything.done_before, everything.ok, everything.failed) == (2, 0, 1)

    (row,) = failures.iter_failures(store, mini)
    assert (row["post_id"], row["attempt"], row["quarantined"]) == ("text", 1, False)
    assert failures.summarise(store, mini).reasons == {"unreadable": 1}


def test_the_command_lists_a_line_each(tmp_path: Path, write_posts: Callable[..., Path]) -> None:
    (tmp_path / "root").mkdir()
    (tmp_path / "set.yaml").write_text("{name: mini, extractors: [acoustics]}")
    store, mini = Store.open(tmp_path / "root"), FeatureSet.load(tmp_path / "set.yaml")
    options = ["--root", store.root, "--feature-set", str(tmp_path / "set.yaml")]
    empty = CliRunner().invoke(failures.command, options)
    assert "backfill first" in str(empty.exception)

    posts = [{"id": f"{number}", "desc": "", "createTime": 1_700_000_000} for number in range(3)]
    ingest.run(store, IngestSource("tiktok_api", (str(write_posts(*posts)),)))
    backfill.run(store, mini, Settings())
    other = CliRunner().invoke(failures.command, ["--root", store.root])
    assert f"there are {mini.table.split('/')[1]} (--feature-set)" in str(other.exception)
    lines = CliRunner().invoke(failures.command, [*options, "--json"]).output.splitlines()
    assert [json.loads(line)["post_id"] for line in lines] == ["0", "1", "2"]
    shown = CliRunner().invoke(failures.command, [*options, "--limit", "1"]).output
    assert "missing_object: 3" in shown
    assert shown.count("attempt 0") == 1
