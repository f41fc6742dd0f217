"""Frames to label: which are chosen, how they are named, and the way from videos to a target."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from tests.conftest import Viral
from tests.monitor.conftest import SECONDS, START
from viral.monitor.detector.decision import DecisionRule
from viral.monitor.detector.frame_names import frame_name, source_video, video_name
from viral.monitor.detector.training import TargetData, clean_distribution, split_videos
from viral.monitor.labelling.selection import SAME, Selection, describe
from viral.monitor.targets import read_card
from viral.storage.store import Store
from viral.tables.places import posts_table
from viral.tables.schemas import POSTS


def frames(*angles: float) -> np.ndarray:
    """Descriptions (N, 1, 2) of frames, at angles in degrees: near ones are alike."""
    radians = np.deg2rad(angles)
    return np.stack([np.cos(radians), np.sin(radians)], 1)[:, None].astype(np.float32)


def test_diverse_frames_come_first_and_copies_never() -> None:
    assert np.cos(np.deg2rad(20)) > SAME > np.cos(np.deg2rad(30)), "as the angles below assume"
    selection = Selection(frames(0, 2, 170, 90, 95, 45), frames())
    selection.take_diverse(10)
    assert selection.chosen == [0, 2, 3, 5], "each time what is farthest from all before"
    later = Selection(frames(0, 2, 170, 90, 95, 45), frames(3, 168))
    later.take_diverse(1)
    assert later.chosen == [3], "the frames of an earlier run count"
    Selection(frames(), frames()).take_diverse(3)


def test_unsure_frames_then_hard_negatives_then_others() -> None:
    angles, videos = np.arange(0.0, 360.0, 30.0), np.repeat(np.arange(3), 4)
    margins = np.array([0.9, 0.1, -0.2, -0.8, -0.01, 0.02, 0.03, 0.04, -0.9, 0.8, -0.9, -0.7])
    selection = Selection(frames(*angles), frames())
    selection.take_unsure(margins, videos, 8)
    assert selection.chosen[:4] == [4, 5, 6, 1], "nearest to the threshold, of one video three at most"
    assert selection.chosen[4:6] == [0, 9], "the highest scores"
    assert len(set(selection.chosen)) == 8


def test_a_small_thing_in_a_cell_tells_frames_apart() -> None:
    rng = np.random.default_rng(0)
    windows, edges = rng.random((1, 24, 8), np.float32), np.linspace(0, 1, 7, dtype=np.float32)
    boxes = np.array([(x, y, x + 0.25, y + 1 / 6) for y in edges[:-1] for x in (0, 0.25, 0.5, 0.75)], np.float32)
    changed = windows.copy()
    changed[0, :2] = 5 * rng.random((2, 8))
    before, after = describe(windows, boxes)[0], describe(changed, boxes)[0]
    assert before.shape == (6, 8) and np.allclose(np.linalg.norm(before, axis=1), 1)
    assert list(np.flatnonzero(np.abs(before - after).max(1) > 1e-6)) == [0]


def test_names_of_frames_carry_the_video() -> None:
    video = video_name("a/b: c@1", "0123456789abcdef")
    name = frame_name(7, video, 12.25)
    assert name == "0007-a_b_c_1-01234567@12.25s.jpg" and source_video(Path("x") / name) == video
    assert source_video(Path("x/logo.png")) == "logo.png"


def test_a_video_is_on_one_side_of_the_split() -> None:
    examples, negatives = [f"v{i % 5}" for i in range(20)], [f"v{i % 9}" for i in range(40)]
    data = TargetData([], examples, [], negatives, [True] * 40)
    example_folds, negative_folds = split_videos(data)
    folds: dict[str, set[int]] = {}
    for name, fold in zip([*examples, *negatives], [*example_folds, *negative_folds], strict=True):
        folds.setdefault(name, set()).add(int(fold))
    assert all(len(its) == 1 for its in folds.values()) and set(map(min, folds.values())) == {0, 1, 2, 3}


def test_from_videos_to_a_target(watched: Path, viral_here: Viral, tmp_path: Path) -> None:
    """Sampled, sorted by the times at which the logo is shown, trained on, and asked for what is unsure."""
    shutil.copytree(watched / "root", tmp_path / "root")
    shutil.copytree(watched / "shown", tmp_path / "videos")
    for i in range(3):
        shutil.copy(watched / "negatives" / f"{i}.mp4", tmp_path / "videos" / f"n{i}.mp4")
    (tmp_path / "videos" / "n0.info.json").write_text(json.dumps({"id": "post/7"}))
    shutil.copy(tmp_path / "videos" / "n1.mp4", tmp_path / "copy.mp4")
    (tmp_path / "damaged.mp4").write_bytes(b"no video")
    out, root = tmp_path / "out", ("--root", tmp_path / "root")
    sources = (tmp_path / "videos", tmp_path / "copy.mp4", tmp_path / "damaged.mp4")
    done = viral_here("monitor", "label", *sources, "--out", out, "--frames", "30", *root, "--json")
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    assert (summary["videos"], summary["copies"], summary["failed"]) == (6, 1, 1)
    assert "damaged: unreadable" in done.stderr
    pictures = sorted((out / "unlabelled").iterdir())
    assert [path.name[:4] for path in pictures] == [f"{i + 1:04d}" for i in range(summary["written"])]
    assert any("-post_7-" in path.name for path in pictures), "the id that its scraper wrote"
    videos = {source_video(path) for path in pictures}
    assert len(videos) == 5, "each video has a frame among the first ones; its copy has none"
    shown = {video for video in videos if video.startswith(("0-", "1-"))}
    for path in pictures:
        seconds = float(path.stem.rpartition("@")[2].removesuffix("s"))
        has_logo = source_video(path) in shown and START <= seconds < START + SECONDS
        path.rename(out / ("positive" if has_logo else "negative") / path.name)
    positive = list((out / "positive").iterdir())
    assert len({source_video(path) for path in positive}) == 2
    folders = ("--examples", out / "positive", "--negatives", out / "negative")
    done = viral_here("monitor", "target", "add", "labelled", *folders, *root)
    assert done.returncode == 0, done.stderr
    card = read_card(Store(tmp_path / "root"), "labelled")
    assert (card.scorecard["examples"], card.scorecard["negatives"]) == (len(positive), 5)
    more = ("monitor", "label", tmp_path / "videos" / "0.mp4", "--out", out, "--target", "labelled", "--json")
    done = viral_here(*more, *root)
    assert done.returncode == 0, done.stderr
    again = {path.name[5:] for path in (out / "unlabelled").iterdir()}
    assert not again & {path.name[5:] for path in pictures}, "nothing twice"
    assert len(again) == json.loads(done.stdout)["written"]


def test_the_videos_of_posts(watched: Path, viral_here: Viral, folder_store: Store, tmp_path: Path) -> None:
    clip = str(next((watched / "clean").iterdir()))
    uris = {"7": clip, "8": "https://example.org/8.mp4", "9": None}
    posts = [{"post_id": post_id, "source": "test", "video_uri": uri} for post_id, uri in uris.items()]
    posts_table(folder_store).append(pa.Table.from_pylist(posts, schema=POSTS), 0)
    root = ("--root", folder_store.root)
    done = viral_here("monitor", "label", "--all", "--out", tmp_path / "out", "--frames", "2", *root)
    assert done.returncode == 0 and "viral monitor target add NAME --examples" in done.stdout
    names = [path.name for path in (tmp_path / "out" / "unlabelled").iterdir()]
    assert len(names) == 2 and all(name[4:7] == "-7-" for name in names)


def test_bad_requests_of_labels(viral_here: Viral, folder_store: Store, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "bad.mp4").write_bytes(b"x")
    for arguments, message in (
        ((), "name videos, or give --all"),
        (("--all",), "there are no stored videos in"),
        ((tmp_path / "empty",), "there are no stored videos in"),
        ((tmp_path / "none",), "none"),
        (("https://example.org/a.mp4",), "store it first (viral fetch)"),
        ((tmp_path / "bad.mp4", "--target", "flag"), "there is no target 'flag'"),
        ((tmp_path / "bad.mp4",), "all 1 videos failed, most because: unreadable"),
    ):
        done = viral_here("monitor", "label", *arguments, "--out", tmp_path / "out", "--root", folder_store.root)
        assert done.returncode == 2 and message in done.stderr, (arguments, done.stderr)
        assert len(done.stderr.strip().splitlines()) <= 2


@pytest.mark.parametrize("stills", [True, False])
def test_single_frames_give_a_higher_threshold(stills: bool) -> None:
    """Videos of eight scenes of a second each; a still is one of them."""
    rng, plain = np.random.default_rng(0), DecisionRule(0.0)

    def video() -> np.ndarray:
        return np.repeat(rng.normal(size=8), 5)

    clean = [video()[:1] if stills else video() for _ in range(300)]
    threshold = clean_distribution(clean, [str(i) for i in range(300)], [stills] * 300, plain).threshold(0.01)
    rate = np.mean([plain.video_score(video()) >= threshold for _ in range(2000)])
    assert rate < 0.03, rate
