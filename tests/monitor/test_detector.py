"""Targets: what a detector finds, decides and stores."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import Viral
from tests.monitor.conftest import SECONDS, START
from viral.config import Settings
from viral.errors import ConfigError, UsageError
from viral.monitor.detector.backbone import Backbone
from viral.monitor.detector.decision import EVERY_SECONDS, CleanScores, DecisionRule
from viral.monitor.detector.examples import augmented, files_in, read_negatives
from viral.monitor.detector.head import Head, fit_head
from viral.monitor.targets import load_detector, read_card
from viral.storage.store import Store
from viral.weights.resolve import resolve_local


def test_an_event_takes_several_frames_of_consecutive_ones() -> None:
    rule = DecisionRule(0.5)
    scores = np.array([0, 0.9, 0, 0, 0, 0, 0.6, 0, 0.8, 0.7, 0])
    event = rule.find(scores)
    assert event is not None and (event.start, event.peak, event.last) == (6, 8, 9)
    assert rule.find(scores[:8]) is None
    assert rule.video_score(scores) == 0.6
    assert DecisionRule(0.6).find(scores) is not None and DecisionRule(0.61).find(scores) is None
    assert DecisionRule(0.5, 1, 1).find(scores[:3]) is not None, "any frame, where it is asked for"
    assert rule.find(np.array([0.9, 0.9])) is not None, "a short video has fewer frames"
    assert rule.find(np.zeros(0)) is None and rule.video_score(np.zeros(0)) == -np.inf


def test_any_frame_flags_most_clean_videos() -> None:
    """Of 150 frames with 1 % false positives each, one is almost always above; three of five in a row are not."""
    frames = np.random.default_rng(0).random((300, 150))
    flagged = [
        np.mean([DecisionRule(0.99, *rule).find(video) is not None for video in frames]) for rule in ((1, 1), (3, 5))
    ]
    assert flagged[0] == pytest.approx(0.78, abs=0.06) and flagged[1] < 0.02


def test_the_threshold_keeps_the_tolerated_rate() -> None:
    rng = np.random.default_rng(1)
    thresholds = [CleanScores.fit(rng.gumbel(0.3, 0.05, 40)).threshold(0.01) for _ in range(50)]
    rates = [(rng.gumbel(0.3, 0.05, 4000) >= threshold).mean() for threshold in thresholds]
    assert 0.005 < np.mean(rates) < 0.02
    clean = CleanScores(0.3, 0.05)
    assert clean.confidence(clean.threshold(0.01)) == pytest.approx(0.99)


def test_a_head_finds_the_window_that_examples_share() -> None:
    rng = np.random.default_rng(2)
    target, scale = rng.normal(size=24), rng.uniform(0.1, 5, 24)  # whitening undoes the scales

    def frame(shown: bool) -> np.ndarray:
        windows = rng.normal(size=(30, 24))
        if shown:
            windows[rng.integers(30)] += 1.5 * target
        return (windows * scale).astype(np.float32)

    negatives = np.concatenate([frame(False) for _ in range(60)])
    clean, shown = np.stack([frame(False) for _ in range(200)]), np.stack([frame(True) for _ in range(200)])
    for count, least, dense in ((1, 0.2, None), (5, 0.8, None), (20, 0.9, None), (20, 0.6, True)):
        head = fit_head([[frame(True)] for _ in range(count)], negatives, dense=dense)
        assert bool(head.layers) == bool(dense)
        bound = np.quantile(head.frame_scores(clean), 0.99)
        found = (head.frame_scores(shown) > bound).mean()
        assert found > least, count
        restored = Head.from_tensors(head.tensors())
        assert (restored.frame_scores(shown) == head.frame_scores(shown)).all()


def test_windows_lie_where_their_features_come_from() -> None:
    backbone = Backbone("efficientnet_lite0", resolve_local)
    image = np.full((1, 320, 288, 3), 120, np.uint8)
    changed = image.copy()
    changed[0, 200:260, 30:90] = np.random.default_rng(0).integers(0, 255, (60, 60, 3))
    difference = np.abs(backbone.windows(image) - backbone.windows(changed)).mean(-1)[0]
    boxes = backbone.grid(320, 288).boxes
    assert len(boxes) == len(difference)
    left, top, right, bottom = boxes[np.argmax(difference)] * (288, 320, 288, 320)
    assert left < 60 < right and top < 230 < bottom
    with pytest.raises(ConfigError, match="there is no backbone 'x': choose from efficientnet_lite0"):
        Backbone("x", resolve_local)


def test_copies_of_an_example_have_its_size(clips: list[Path]) -> None:
    image = np.random.default_rng(0).integers(0, 255, (60, 40, 3), np.uint8)
    copies = augmented(image, 3, np.random.default_rng(1))
    assert [copy.shape for copy in copies] == [image.shape] * 3 and (copies[0] != copies[1]).any()


def test_a_drawn_logo_is_found_in_the_videos_that_show_it(watched: Path) -> None:
    detector, backbone = load_detector(Store(watched / "root"), "logo"), Backbone("efficientnet_lite0", resolve_local)
    for part in read_negatives(watched / "shown", Settings()):
        event = detector.rule.find(detector.frame_scores(backbone, part.images))
        assert event is not None
        assert START - 0.2 <= event.start * EVERY_SECONDS <= START + 0.5
        assert START - 0.2 <= event.peak * EVERY_SECONDS <= START + SECONDS
    for part in read_negatives(watched / "clean", Settings()):
        assert detector.rule.find(detector.frame_scores(backbone, part.images)) is None
    card = detector.card
    assert (card.model, card.purpose, card.needed, card.window) == ("logo/1", "test", 3, 5)
    assert card.scorecard["examples"] == 5 and card.scorecard["clean_alerts"] == 0


def test_the_commands_of_targets(watched: Path, viral_here: Viral, tmp_path: Path) -> None:
    shutil.copytree(watched / "root", tmp_path / "root")
    root = ("--root", tmp_path / "root")
    assert viral_here("monitor", "target", "list", *root).stdout.startswith("logo/1  ")
    assert json.loads(viral_here("monitor", "target", "show", "logo", *root, "--json").stdout)["version"] == 1
    for arguments, message in (
        (("show", "flag"), "there is no target 'flag'"),
        (("add", "flag"), "a new target needs --examples DIR"),
        (("add", "flag", "--examples", tmp_path / "none", "--negatives", tmp_path), "there is no folder"),
        (("add", "a b", "--examples", tmp_path), "is not a valid name"),
    ):
        done = viral_here("monitor", "target", *arguments, *root)
        assert done.returncode == 2 and message in done.stderr
    assert viral_here("monitor", "target", "remove", "logo", *root).stdout == "removed 1 versions of logo\n"
    assert viral_here("monitor", "target", "list", *root).stdout == "no targets\n"
    with pytest.raises(UsageError):
        read_card(Store(tmp_path / "root"), "logo")
    with pytest.raises(ConfigError, match="holds no images or clips"):
        files_in(tmp_path / "root")
