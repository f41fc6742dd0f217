"""Training of a face target: the mean description of one named person's face, and a threshold from other videos.

Of the faces in the negatives, only the distribution of their likeness to the target is kept, as two numbers.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from viral.errors import ConfigError
from viral.monitor.detector.backbone import Features
from viral.monitor.detector.decision import DecisionRule, Scores
from viral.monitor.detector.examples import ExampleFrame, NegativeFrames
from viral.monitor.detector.face_network import FACE_DIM, FaceNetwork
from viral.monitor.detector.head import Head, Whitening
from viral.monitor.detector.training import DetectorCard, TrainedDetector, check_negatives, clean_distribution

SAME_PERSON = 0.363
"""Cosine of two faces of one person, at least: OpenCV's threshold for SFace, chosen on LFW."""


def train_face(
    network: FaceNetwork,
    examples: Sequence[ExampleFrame],
    negatives: Sequence[NegativeFrames],
    tolerated: float,
    rule: tuple[int, int] = (3, 5),
) -> TrainedDetector:
    """Fit a face target.

    Args:
        network: describes the faces.
        examples: each shows the person alone.
        negatives: clips or frames without the person.
        tolerated: false alerts per clean video.
        rule: k and n of the decision.

    Raises:
        ConfigError: an example shows no face or several, or there are too few negatives.
    """
    check_negatives(negatives)
    faces = np.stack([_only_face(network, example) for example in examples])
    head, plain = _head(faces), DecisionRule(0.0, *rule)
    clean = [head.frame_scores(network.windows(part.images)) for part in negatives]
    videos, stills = [part.video for part in negatives], [part.still for part in negatives]
    distribution = clean_distribution(clean, videos, stills, plain)
    decision = DecisionRule(max(SAME_PERSON, distribution.threshold(tolerated)), *rule)
    card = DetectorCard(
        examples=len(examples),
        negatives=len(set(videos)),
        tolerated=tolerated,
        recall=float((_scores_by_others(faces, [example.video for example in examples]) >= decision.threshold).mean()),
        clean_alerts=sum(decision.find(scores) is not None for scores in clean),
        any_frame_alerts=sum(bool((scores >= decision.threshold).any()) for scores in clean),
    )
    return TrainedDetector(head, decision, distribution, card)


def _only_face(network: FaceNetwork, example: ExampleFrame) -> Features:
    faces = [face for face in network.windows(example.image[None])[0] if face.any()]
    if len(faces) != 1:
        count = "no face" if not faces else f"{len(faces)} faces"
        raise ConfigError(f"a frame of {example.video} shows {count}: give pictures of the named person alone, large")
    return np.asarray(faces[0], np.float32)


def _head(faces: Features) -> Head:
    mean = faces.mean(0)
    identity = Whitening(np.zeros(FACE_DIM, np.float32), np.eye(FACE_DIM, dtype=np.float32))
    return Head(identity, np.asarray(mean / max(float(np.linalg.norm(mean)), 1e-6), np.float32), {})


def _scores_by_others(faces: Features, videos: Sequence[str]) -> Scores:
    """Score (N,) of each example by a head of the examples of other videos; of a single video, by its own."""
    names = np.array(videos)
    scores = np.zeros(len(faces))
    for i, name in enumerate(videos):
        others = names != name
        scores[i] = _head(faces[others] if others.any() else faces).frame_scores(faces[i][None, None])[0]
    return scores
