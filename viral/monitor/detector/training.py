"""Training of a detector, with what it finds in videos that it was not trained on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from viral.errors import ConfigError
from viral.monitor.detector.backbone import Features
from viral.monitor.detector.decision import CleanScores, DecisionRule, Scores
from viral.monitor.detector.examples import ExampleFrame, NegativeFrames, augmented
from viral.monitor.detector.head import Head, fit_head
from viral.monitor.detector.network import WindowNetwork

COPIES = 3  # changed copies of each example; more took longer and found no more
MIN_NEGATIVES = 5  # files; a threshold from fewer is a guess
_FOLDS = 4  # each video is scored by a head that was not trained on it
_MOMENTS = 8  # that a video stands for: measured 2 for 6 s of real TikToks, most of which are four times as long
_CURVE = (1, 2, 5, 10, 20, 50)  # numbers of examples
_TRAIN_EVERY = 5  # of the negative frames, one a second, is trained on: neighbours are almost the same
_SEED = 0

Folds = npt.NDArray[np.int64]


@dataclass(frozen=True)
class TargetData:
    """Windows that a detector is trained on.

    Attributes:
        examples: each has the windows of its frame, then of changed copies.
        example_videos: names of their videos.
        negatives: windows (T, R, D) of videos, or pictures, without the target.
        negative_videos: names of their videos.
        stills: for each negative, whether it is one picture of its video.
    """

    examples: Sequence[Sequence[Features]]
    example_videos: Sequence[str]
    negatives: Sequence[Features]
    negative_videos: Sequence[str]
    stills: Sequence[bool]


@dataclass(frozen=True)
class DetectorCard:
    """Measures of a detector by videos that it was not trained on.

    `recall` is the share of example frames above the threshold; `curve` is the recall by number of examples;
    `tolerated` is the rate of false alerts per video that the threshold was chosen for; `clean_alerts` are the alerts
    on negative clips and pictures, with the decision on k of n frames, and `any_frame_alerts` with "any frame".
    """

    examples: int
    negatives: int
    tolerated: float
    recall: float
    clean_alerts: int
    any_frame_alerts: int
    curve: dict[int, float] = field(default_factory=dict)


@dataclass(frozen=True)
class TrainedDetector:
    """A head with its decision, the scores of clean videos that the threshold comes from, and its measures."""

    head: Head
    rule: DecisionRule
    clean: CleanScores
    card: DetectorCard


def encode_target(
    network: WindowNetwork, examples: Sequence[ExampleFrame], negatives: Sequence[NegativeFrames]
) -> TargetData:
    """Compute the windows of all frames.

    Raises:
        ConfigError: there are too few negatives.
    """
    check_negatives(negatives)
    rng = np.random.default_rng(_SEED)
    copies = [[frame.image, *augmented(frame.image, COPIES, rng)] for frame in examples]
    return TargetData(
        [[network.windows(image[None])[0] for image in images] for images in copies],
        [frame.video for frame in examples],
        [network.windows(part.images) for part in negatives],
        [part.video for part in negatives],
        [part.still for part in negatives],
    )


def check_negatives(negatives: Sequence[NegativeFrames]) -> None:
    """Check that they are enough to choose a threshold. Raises ConfigError: they are of too few videos."""
    count = len({part.video for part in negatives})
    if count < MIN_NEGATIVES:
        raise ConfigError(
            f"negatives of {count} videos are too few to choose a threshold: give clips, or frames, of at least "
            f"{MIN_NEGATIVES} videos without the target (--negatives DIR)"
        )


def train_detector(
    data: TargetData, tolerated: float, rule: tuple[int, int] = (3, 5), *, curve: bool = True
) -> TrainedDetector:
    """Fit the head on all data; choose the threshold, and measure, by scores of heads that did not see the video.

    Args:
        data: of `encode_target`.
        tolerated: false alerts per clean video.
        rule: k and n of the decision.
        curve: also train on fewer examples, for the card.
    """
    clean, shown = cross_scores(data, len(data.examples))
    plain = DecisionRule(0.0, *rule)
    distribution = clean_distribution(clean, data.negative_videos, data.stills, plain)
    threshold = distribution.threshold(tolerated)
    decision = DecisionRule(threshold, *rule)
    card = DetectorCard(
        examples=len(data.examples),
        negatives=len(set(data.negative_videos)),
        tolerated=tolerated,
        recall=float((shown >= threshold).mean()),
        clean_alerts=sum(decision.find(scores) is not None for scores in clean),
        any_frame_alerts=sum(bool((scores >= threshold).any()) for scores in clean),
        curve=_curve(data, tolerated, plain) if curve else {},
    )
    return TrainedDetector(fit_whole(data), decision, distribution, card)


def fit_whole(data: TargetData) -> Head:
    """Fit a head on all data."""
    return fit_head(data.examples, _flat(data.negatives))


def _curve(data: TargetData, tolerated: float, plain: DecisionRule) -> dict[int, float]:
    curve = {}
    for count in (number for number in _CURVE if number < len(data.examples)):
        clean, shown = cross_scores(data, count)
        curve[count] = float(
            (shown >= clean_distribution(clean, data.negative_videos, data.stills, plain).threshold(tolerated)).mean()
        )
    return curve


def clean_distribution(
    clean: Sequence[Scores], videos: Sequence[str], stills: Sequence[bool], plain: DecisionRule
) -> CleanScores:
    """Distribution of the scores of clean videos: of the clips, or if they are too few, estimated from all negatives.

    A picture says less than a video, of which the best of many moments counts: the largest of n values of Gumbel's
    distribution has the same one, moved by log n times its scale.

    Args:
        clean: scores of the frames of each negative; none where they cannot be told without bias.
        videos: of each negative, the name of its video.
        stills: of each negative, whether it is one picture of its video.
        plain: the decision, whatever its threshold.
    """
    scores = np.array([plain.video_score(frames) for frames in clean])
    scored = np.isfinite(scores)
    scores, clips = scores[scored], ~np.array(stills, bool)[scored]
    if len(set(np.array(videos)[scored][clips])) >= MIN_NEGATIVES:
        return CleanScores.fit(scores[clips])
    fitted = CleanScores.fit(scores)
    return CleanScores(fitted.location + fitted.scale * float(np.log(_MOMENTS)), fitted.scale)


def split_videos(data: TargetData) -> tuple[Folds, Folds]:
    """The fold of each example and of each negative; all frames of one video, of either kind, are in one fold."""
    rng = np.random.default_rng(_SEED)
    negatives = sorted(set(data.negative_videos))
    fold_of = dict(zip(negatives, rng.permutation(len(negatives)) % _FOLDS, strict=True))
    others = sorted(set(data.example_videos) - set(negatives))
    fold_of |= dict(zip(others, rng.permutation(len(others)) % _FOLDS, strict=True))
    example_folds, negative_folds = (
        np.array([fold_of[name] for name in names]) for names in (data.example_videos, data.negative_videos)
    )
    return example_folds, negative_folds


def cross_scores(data: TargetData, count: int) -> tuple[list[Scores], Scores]:
    """Scores of the frames of each negative, and of each example, by heads fitted on `count` others at most."""
    rng = np.random.default_rng(_SEED)
    example_folds, negative_folds = split_videos(data)
    clean: list[Scores] = [np.zeros(0)] * len(data.negatives)
    shown = np.full(len(data.examples), np.nan)
    for fold in range(_FOLDS):
        others = np.flatnonzero(example_folds != fold)
        # A single video has no others: its examples are then scored by a head that saw them.
        chosen = rng.permutation(others if len(others) else np.arange(len(data.examples)))[:count]
        head = fit_head(
            [data.examples[i] for i in chosen],
            _flat([part for part, its in zip(data.negatives, negative_folds, strict=True) if its != fold]),
        )
        seen = {data.example_videos[i] for i in chosen}
        for i in map(int, np.flatnonzero(negative_folds == fold)):
            # The video of an example is known to its head, which then says nothing about others: left empty.
            if data.negative_videos[i] not in seen:
                clean[i] = head.frame_scores(data.negatives[i])
        for i in map(int, np.flatnonzero(example_folds == fold)):
            shown[i] = head.frame_scores(data.examples[i][0][None])[0]
    return clean, shown


def _flat(negatives: Sequence[Features]) -> Features:
    """All windows (N, D) of some of the negative frames."""
    return np.concatenate([part[::_TRAIN_EVERY].reshape(-1, part.shape[-1]) for part in negatives])
