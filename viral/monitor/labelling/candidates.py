"""Candidates: of each video some frames, described, scored, and stored as pictures until the choice is made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from viral.config import Settings
from viral.duplicates.perceptual_hash import KEY_FRAMES, LATE, OPENING, perceptual_hash
from viral.media.limits import MediaLimits
from viral.media.plan import SamplingPlan
from viral.media.requests import Frames
from viral.media.sandbox import Sandbox
from viral.monitor.detector.backbone import BACKBONES, SHORT_SIDE, Backbone, Features
from viral.monitor.detector.examples import Images
from viral.monitor.detector.frame_names import video_name
from viral.monitor.detector.network import WindowNetwork, open_network
from viral.monitor.labelling.selection import SAME, describe, similarity
from viral.monitor.targets import Detector
from viral.storage.store import Store
from viral.weights.root import RootWeights

# The width of most TikToks: a person must recognise what is small. Twelve frames of a usual video are a second or two
# apart, and take two seconds of CPU.
_FRAMES = Frames(size=(576, 576), count=12, fit="inside")
_QUALITY = 95  # of JPEG: its errors are below those of the video


@dataclass(frozen=True)
class CandidateFrame:
    """A frame of a video: its time, picture, description (cells, D), and its score less the detector's threshold."""

    seconds: float
    file: Path
    descriptor: Features
    margin: float


@dataclass(frozen=True)
class SampledVideo:
    """A video with its distinct frames. `sha256`, `video_hash` and `seen_seconds` tell videos apart."""

    name: str
    sha256: str
    video_hash: bytes | None
    seen_seconds: float | None
    frames: Sequence[CandidateFrame]


class FrameSampler:
    """Takes frames from videos. Owns a child process: call `close`.

    Args:
        store: root of the weights.
        settings: limits on media and the sandbox.
        folder: for the pictures.
        detector: scores the frames; None: not scored.
    """

    def __init__(self, store: Store, settings: Settings, folder: Path, detector: Detector | None) -> None:
        self._folder, self._detector, self._count = folder, detector, 0
        self._sandbox = Sandbox(MediaLimits(**settings.media.model_dump(), **settings.sandbox.model_dump()))
        # Always the same network, for which `SAME` was measured.
        self._backbone = Backbone(BACKBONES[0], RootWeights(store))
        self._own: WindowNetwork = self._backbone
        if detector and (detector.card.backbone, detector.card.weights) != (BACKBONES[0], "imagenet"):
            self._own = open_network(detector.card.backbone, RootWeights(store), detector.card.weights)

    def close(self) -> None:
        """End the child process."""
        self._sandbox.close()

    def sample(self, post_id: str, path: Path) -> SampledVideo:
        """Take the distinct frames of a video. Raises PostError: it cannot be decoded."""
        media = self._sandbox.decode(str(path), SamplingPlan.from_requests([_FRAMES, OPENING, KEY_FRAMES, LATE]))
        batch, facts = media.frames(_FRAMES), media.facts
        frames = self._distinct(batch.data, batch.pts_seconds.tolist()) if batch is not None else []
        assert facts.sha256 is not None
        name = video_name(post_id, facts.sha256)
        return SampledVideo(name, facts.sha256, perceptual_hash(media), facts.seen_seconds, frames)

    def describe(self, image: Images) -> Features:
        """Describe a frame uint8 (H, W, 3), (cells, D)."""
        return self._described(image, self._backbone.windows(image[None]))

    def _described(self, image: Images, windows: Features) -> Features:
        return np.asarray(describe(windows, self._backbone.grid(*image.shape[:2]).boxes)[0], np.float32)

    def _distinct(self, images: Images, times: Sequence[float]) -> list[CandidateFrame]:
        frames: list[CandidateFrame] = []
        for image, seconds in zip(images, times, strict=True):
            small = _scaled(image)
            windows = self._backbone.windows(small[None])
            descriptor = self._described(small, windows)
            if frames and similarity(np.stack([frame.descriptor for frame in frames]), descriptor).max() >= SAME:
                continue
            frames.append(CandidateFrame(seconds, self._stored(image), descriptor, self._margin(small, windows)))
        return frames

    def _margin(self, image: Images, windows: Features) -> float:
        if self._detector is None:
            return 0.0
        own = windows if self._own is self._backbone else self._own.windows(image[None])
        return float(self._detector.head.frame_scores(own)[0] - self._detector.rule.threshold)

    def _stored(self, image: Images) -> Path:
        self._count += 1
        file = self._folder / f"{self._count}.jpg"
        Image.fromarray(image).save(file, "JPEG", quality=_QUALITY, subsampling=0)
        return file


def _scaled(image: Images) -> Images:
    """The frame as a detector sees it."""
    picture = Image.fromarray(image)
    scale = SHORT_SIDE / min(picture.size)
    size = round(picture.width * scale), round(picture.height * scale)
    return np.array(picture.resize(size, Image.Resampling.BILINEAR))
