"""Detection of a drawn target in real videos: `python -m tests.bench.monitor [FOLDER OF VIDEOS] --cache FOLDER`.

A flag and a logo are drawn into a part of each video at a random size (15 to 40 % of the width), place, turn,
brightness and blur, for 1.6 s. A detector is trained on 20 such frames of one half of the videos, each frame of another
video, and on these videos as they are; it is tested on the other half, with the target and without it, and then the
halves change sides. Printed are event-level recall and false alerts on untouched videos, at the threshold that the
detector chose itself for one false alert per 100 videos, by number of examples, and the rule "any frame" beside it.

Frames are at 5 per second, of the first 6 s of each video. Their features are kept in the folder of `--cache`, so that
an interrupted run goes on.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tests.monitor.drawn_logo import planted
from viral.media.decode import decode
from viral.media.limits import MediaLimits
from viral.media.plan import SamplingPlan
from viral.media.requests import Frames
from viral.monitor.detector.backbone import Backbone
from viral.monitor.detector.decision import DecisionRule
from viral.monitor.detector.examples import WATCH, augmented
from viral.monitor.detector.training import COPIES, TargetData, train_detector
from viral.weights.resolve import resolve_local

VIDEOS = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "tiktok_videos" / "videos"
KINDS = ("flag", "logo")
SECONDS, SHOWN = 6.0, 8  # of each video; frames that show the target: 1.6 s
COUNTS = (1, 2, 5, 10, 20)
TOLERATED = 0.01  # one false alert per 100 videos
Video = dict[str, np.ndarray]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=VIDEOS)
    parser.add_argument("--cache", type=Path, required=True)
    options = parser.parse_args()
    options.cache.mkdir(exist_ok=True)
    backbone = Backbone("efficientnet_lite0", resolve_local)
    paths = sorted(options.folder.glob("*.mp4"))
    videos = [encoded(path, number, backbone, options.cache) for number, path in enumerate(paths)]
    print(f"{len(videos)} videos, {len(KINDS)} targets: {len(KINDS) * len(videos)} decisions of each kind")
    print("examples  recall  false alerts | any frame: recall  false alerts | recall above all clean videos")
    for count in COUNTS:
        results = np.array([part for kind in KINDS for half in (0, 1) for part in tested(videos, kind, half, count)])
        recall, alerts, any_recall, any_alerts = results[:, :4].T
        separable = np.concatenate(
            [(shown > clean.max()) for shown, clean in (by_kind(results, n) for n in range(len(KINDS)))]
        ).mean()
        print(
            f"{count:>8}  {recall.mean():6.3f}  {int(alerts.sum()):>12} | {any_recall.mean():17.3f}"
            f"  {int(any_alerts.sum()):>12} | {separable:.3f}",
            flush=True,
        )


def by_kind(results: np.ndarray, number: int) -> tuple[np.ndarray, np.ndarray]:
    """Scores of the videos with a target and of those without, of both halves, each less its threshold."""
    rows = np.split(results, len(KINDS))[number]
    return rows[:, 4], rows[:, 5]


def encoded(path: Path, number: int, backbone: Backbone, cache: Path) -> Video:
    """Windows of the frames of a video (T, R, D), of the frames with each target, and of an example with its copies."""
    file = cache / f"{path.stem}.npz"
    if not file.exists():
        request = Frames(size=WATCH.size, every=WATCH.every, stop=SECONDS, fit="inside")
        batch = decode(str(path), SamplingPlan.from_requests([request]), MediaLimits()).frames(request)
        assert batch is not None
        rng = np.random.default_rng(number)
        start = int(rng.integers(0, len(batch.data) - SHOWN))
        parts = {"clean": backbone.windows(batch.data), "start": np.array(start)}
        for kind in KINDS:
            shown = planted(batch.data[start : start + SHOWN], kind, rng)
            parts[kind] = backbone.windows(shown)
            copies = augmented(shown[SHOWN // 2], COPIES, rng)
            parts[f"{kind} copies"] = np.concatenate([backbone.windows(copy[None]) for copy in copies])
        part = file.with_suffix(".part")
        with part.open("wb") as output:
            np.savez(output, **{name: values.astype(np.float16) for name, values in parts.items()})
        part.rename(file)
        print(f"{number}: {len(batch.data)} frames", flush=True)
    return dict(np.load(file))


def tested(videos: Sequence[Video], kind: str, half: int, count: int) -> list[list[float]]:
    """For each video of the half: found, false alert, both with "any frame", and its scores less the threshold."""
    train = [video for number, video in enumerate(videos) if number % 2 != half]
    others = [video for number, video in enumerate(videos) if number % 2 == half]
    chosen = np.random.default_rng(half).permutation(len(train))[:count]
    data = TargetData(
        [[wide(train[i][kind][SHOWN // 2]), *map(wide, train[i][f"{kind} copies"])] for i in chosen],
        [str(i) for i in chosen],
        [wide(video["clean"]) for video in train],
        [str(i) for i in range(len(train))],
        [False] * len(train),
    )
    several, single = (train_detector(data, TOLERATED, rule, curve=False) for rule in ((3, 5), (1, 1)))
    rows = []
    for video in others:
        clean = several.head.frame_scores(wide(video["clean"]))
        shown, start = clean.copy(), int(video["start"])
        shown[start : start + SHOWN] = several.head.frame_scores(wide(video[kind]))
        found = [rule.find(scores) is not None for rule in (several.rule, single.rule) for scores in (shown, clean)]
        plain = DecisionRule(0.0)
        scores = [plain.video_score(part) - several.rule.threshold for part in (shown, clean)]
        rows.append([*map(float, found), *scores])
    return rows


def wide(windows: np.ndarray) -> np.ndarray:
    return windows.astype(np.float32)


if __name__ == "__main__":
    main()
