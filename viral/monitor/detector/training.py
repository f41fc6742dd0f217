"""Training of a detector, with what it finds in files that it was not trained on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from viral.errors import ConfigError
from viral.monitor.detector.backbone import Backbone, Features
from viral.monitor.detector.decision import CleanScores, DecisionRule, Scores
from viral.monitor.detector.examples import ExampleFrame, Images, augmented
from viral.monitor.detector.head import Head, fit_head

COPIES = 3  # changed copies of each example; more took longer and found no more
MIN_NEGATIVES = 5  # files; a threshold from fewer is a guess
_FOLDS = 4  # each file is scored by a head that was not trained on it
_CURVE = (1, 2, 5, 10, 20, 50)  # numbers of examples
_TRAIN_EVERY = 5  # of the negative frames, one a second, is trained on: neighbours are almost the same
_SEED = 0


@dataclass(frozen=True)
class TargetData:
    """Windows of examples (each: its frame, then its copies), their files, and windows (T, R, D) of negative files."""

    examples: Sequence[Sequence[Features]]
    files: Sequence[str]
    negatives: Sequence[Features]


@dataclass(frozen=True)
class DetectorCard:
    """Measures of a detector by files that it was not trained on.

    `recall` is the share of example frames above the threshold; `curve` is the recall by number of examples;
    `tolerated` is the rate of false alerts per video that the threshold was chosen for; `clean_alerts` are the alerts
    on the negative files, with the decision on k of n frames, and `any_frame_alerts` with the rule "any frame".
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


def encode_target(backbone: Backbone, examples: Sequence[ExampleFrame], negatives: Sequence[Images]) -> TargetData:
    """Compute the windows of all frames.

    Raises:
        ConfigError: there are too few negatives.
    """
    if len(negatives) < MIN_NEGATIVES:
        raise ConfigError(
            f"{len(negatives)} negatives are too few to choose a threshold: give at least {MIN_NEGATIVES} clips or "
            "images without the target (--negatives DIR)"
        )
    rng = np.random.default_rng(_SEED)
    copies = [[frame.image, *augmented(frame.image, COPIES, rng)] for frame in examples]
    return TargetData(
        [[backbone.windows(image[None])[0] for image in images] for images in copies],
        [frame.file for frame in examples],
        [backbone.windows(frames) for frames in negatives],
    )


def train_detector(
    data: TargetData, tolerated: float, rule: tuple[int, int] = (3, 5), *, curve: bool = True
) -> TrainedDetector:
    """Fit the head on all data; choose the threshold, and measure, by scores of heads that did not see the file.

    Args:
        data: of `encode_target`.
        tolerated: false alerts per clean video.
        rule: k and n of the decision.
        curve: also train on fewer examples, for the card.
    """
    clean, shown = _cross_scores(data, len(data.examples))
    plain = DecisionRule(0.0, *rule)
    distribution = CleanScores.fit(np.array([plain.video_score(scores) for scores in clean]))
    threshold = distribution.threshold(tolerated)
    decision = DecisionRule(threshold, *rule)
    card = DetectorCard(
        examples=len(data.examples),
        negatives=len(data.negatives),
        tolerated=tolerated,
        recall=float((shown >= threshold).mean()),
        clean_alerts=sum(decision.find(scores) is not None for scores in clean),
        any_frame_alerts=sum(bool((scores >= threshold).any()) for scores in clean),
        curve=_curve(data, tolerated, plain) if curve else {},
    )
    return TrainedDetector(fit_head(data.examples, _flat(data.negatives)), decision, distribution, card)


def _curve(data: TargetData, tolerated: float, plain: DecisionRule) -> dict[int, float]:
    curve = {}
    for count in (number for number in _CURVE if number < len(data.examples)):
        clean, shown = _cross_scores(data, count)
        scores = np.array([plain.video_score(frames) for frames in clean])
        curve[count] = float((shown >= CleanScores.fit(scores).threshold(tolerated)).mean())
    return curve


def _cross_scores(data: TargetData, count: int) -> tuple[list[Scores], Scores]:
    """Scores of the frames of each negative file, and of each example, by heads fitted on `count` others at most."""
    rng = np.random.default_rng(_SEED)
    # By file: two frames of one clip are in one fold.
    names = sorted(set(data.files))
    fold_of = dict(zip(names, rng.permutation(len(names)) % _FOLDS, strict=True))
    example_folds = np.array([fold_of[name] for name in data.files])
    negative_folds = rng.permutation(len(data.negatives)) % _FOLDS
    clean: list[Scores] = [np.zeros(0)] * len(data.negatives)
    shown = np.full(len(data.examples), np.nan)
    for fold in range(_FOLDS):
        others = np.flatnonzero(example_folds != fold)
        # A single file has no others: its examples are then scored by a head that saw them.
        chosen = rng.permutation(others if len(others) else np.arange(len(data.examples)))[:count]
        head = fit_head(
            [data.examples[i] for i in chosen],
            _flat([part for part, its in zip(data.negatives, negative_folds, strict=True) if its != fold]),
        )
        for i in map(int, np.flatnonzero(negative_folds == fold)):
            clean[i] = head.frame_scores(data.negatives[i])
        for i in map(int, np.flatnonzero(example_folds == fold)):
            shown[i] = head.frame_scores(data.examples[i][0][None])[0]
    return clean, shown


def _flat(negatives: Sequence[Features]) -> Features:
    """All windows (N, D) of some of the negative frames."""
    return np.concatenate([part[::_TRAIN_EVERY].reshape(-1, part.shape[-1]) for part in negatives])
