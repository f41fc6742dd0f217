"""Scan of one video: decodes only as far as a decision takes, then the frames of the evidence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from viral.config import Settings
from viral.duplicates.perceptual_hash import KEY_FRAMES, LATE, OPENING, perceptual_hash
from viral.media.limits import MediaLimits
from viral.media.media import Facts, FrameBatch
from viral.media.plan import SamplingPlan
from viral.media.requests import Frames
from viral.media.sandbox import Sandbox
from viral.monitor.detector.decision import EVERY_SECONDS, Event, Scores
from viral.monitor.detector.examples import WATCH, Images
from viral.monitor.detector.network import open_network
from viral.monitor.evidence import EvidenceFrame
from viral.monitor.targets import Detector
from viral.storage.store import Store
from viral.weights.root import RootWeights

CHUNK_SECONDS = 6.0
"""Decoded at once: a decision then costs at most so much more than it needs, and a chunk a key frame more."""
_MAX_SIDE = 1080  # of the short side of a frame of evidence: TikTok's largest


@dataclass(frozen=True)
class FoundTarget:
    """A target in a video: its detector, the score of the decision, and the frames that decided."""

    detector: Detector
    score: float
    start_seconds: float
    peak_seconds: float
    frames: Sequence[EvidenceFrame]


@dataclass(frozen=True)
class ScanResult:
    """What is in a video. `facts` and `video_hash` are complete only if a target was found."""

    found: Sequence[FoundTarget]
    facts: Facts
    video_hash: bytes | None
    frames: int


@dataclass
class _Track:
    """Scores of the frames so far by one detector, and its decision."""

    detector: Detector
    scores: Scores
    event: Event | None = None


class Scanner:
    """Looks for targets in videos. Owns a child process: call `close`.

    Args:
        detectors: the targets.
        store: root of the weights.
        settings: limits on media and the sandbox.
    """

    def __init__(self, detectors: Sequence[Detector], store: Store, settings: Settings) -> None:
        self._detectors = detectors
        self._sandbox = Sandbox(MediaLimits(**settings.media.model_dump(), **settings.sandbox.model_dump()))
        keys = {(detector.card.backbone, detector.card.weights) for detector in detectors}
        self._networks = {key: open_network(key[0], RootWeights(store), key[1]) for key in keys}

    def close(self) -> None:
        """End the child process."""
        self._sandbox.close()

    def scan(self, path: Path) -> ScanResult:
        """Scan a video. Raises PostError if it cannot be decoded."""
        tracks = [_Track(detector, np.zeros(0)) for detector in self._detectors]
        times, facts, start = np.zeros(0), Facts(), 0.0
        # Until every target is decided; with the last chunk, the video ends.
        while any(track.event is None for track in tracks):
            request = replace(WATCH, start=start, stop=start + CHUNK_SECONDS)
            media = self._sandbox.decode(str(path), SamplingPlan.from_requests([request]))
            batch, facts = media.frames(request), media.facts
            if batch is not None and len(batch.data):
                # Nominal times: of the frame that a player shows then, which may have begun before.
                times = np.append(times, start + EVERY_SECONDS * np.arange(len(batch.data)))
                self._score(tracks, batch.data)
            start += CHUNK_SECONDS
            if start >= (facts.seen_seconds or facts.declared_seconds or 0.0):
                break
        found = [track for track in tracks if track.event is not None]
        if not found:
            return ScanResult((), facts, None, len(times))
        return self._with_evidence(path, found, times, facts)

    def _score(self, tracks: Sequence[_Track], frames: Images) -> None:
        windows = {key: network.windows(frames) for key, network in self._networks.items()}
        for track in tracks:
            if track.event is None:
                card = track.detector.card
                scores = track.detector.head.frame_scores(windows[card.backbone, card.weights])
                track.scores = np.append(track.scores, scores)
                track.event = track.detector.rule.find(track.scores)

    def _with_evidence(self, path: Path, tracks: Sequence[_Track], times: Scores, facts: Facts) -> ScanResult:
        """Decode the frames of the decisions in their full size, and those of the perceptual hash."""
        side = min(facts.width or _MAX_SIDE, facts.height or _MAX_SIDE, _MAX_SIDE)
        requests = {id(track): _evidence_request(track, times, side) for track in tracks}
        media = self._sandbox.decode(
            str(path), SamplingPlan.from_requests([*requests.values(), OPENING, KEY_FRAMES, LATE])
        )
        found = [_found(track, times, media.frames(requests[id(track)])) for track in tracks]
        return ScanResult(found, media.facts, perceptual_hash(media), len(times))


def _evidence_request(track: _Track, times: Scores, side: int) -> Frames:
    assert track.event is not None
    first, last = float(times[track.event.start]), float(times[track.event.last])
    # Half a step beyond the last frame, so that rounding leaves none out.
    return Frames(size=(side, side), every=EVERY_SECONDS, start=first, stop=last + EVERY_SECONDS / 2, fit="inside")


def _found(track: _Track, times: Scores, batch: FrameBatch | None) -> FoundTarget:
    assert track.event is not None and batch is not None
    event = track.event
    indexes = range(event.start, event.last + 1)
    frames = [
        EvidenceFrame(float(times[i]), float(track.scores[i]), image)
        for i, image in zip(indexes, batch.data, strict=False)
    ]
    score = track.detector.rule.video_score(track.scores)
    return FoundTarget(track.detector, score, float(times[event.start]), float(times[event.peak]), frames)


def about(found: FoundTarget, result: ScanResult) -> Mapping[str, object]:
    """Facts of a sighting for the manifest of its evidence."""
    card, facts = found.detector.card, result.facts
    return {
        "target": card.name,
        "model": card.model,
        "purpose": card.purpose,
        "backbone": card.backbone,
        "decision": {"needed": card.needed, "window": card.window, "threshold": round(card.threshold, 4)},
        "score": round(found.score, 4),
        "confidence": round(found.detector.confidence(found.score), 6),
        "start_seconds": round(found.start_seconds, 3),
        "peak_seconds": round(found.peak_seconds, 3),
        "video": {
            "sha256": facts.sha256,
            "perceptual_hash": result.video_hash.hex() if result.video_hash else None,
            "bytes": facts.bytes,
            "seconds": facts.seen_seconds,
            "width": facts.width,
            "height": facts.height,
        },
    }
