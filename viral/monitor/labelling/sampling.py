"""Samples frames of videos into a folder, where a person labels them by moving them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa

from viral.config import Settings
from viral.console.output import ProgressCallback
from viral.duplicates.clusters import VIDEO_COLUMNS, video_clusters
from viral.errors import PostError
from viral.media.locate import local_video
from viral.monitor.detector.backbone import Features
from viral.monitor.detector.examples import PICTURES, read_pictures
from viral.monitor.detector.frame_names import frame_name, source_video
from viral.monitor.feeds.feed import FeedItem
from viral.monitor.labelling.candidates import FrameSampler, SampledVideo
from viral.monitor.labelling.selection import Selection
from viral.monitor.targets import Detector
from viral.storage.store import Store, one_line
from viral.storage.temporary import remove_abandoned, temporary_folder
from viral.tables.schemas import FACTS

UNLABELLED, POSITIVE, NEGATIVE = "unlabelled", "positive", "negative"
_SPOOL = ".viral-label-"  # within the folder, so that a chosen picture is moved there whole


@dataclass
class SampledFramesSummary:
    """What was sampled. `copies` are videos that show the same as an earlier one; `candidates` are distinct frames."""

    folder: str
    videos: int = 0
    copies: int = 0
    failed: int = 0
    candidates: int = 0
    written: int = 0
    failures: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class LabelFolder:
    """A folder of frames to label, with those that were labelled before."""

    path: Path

    def create(self) -> None:
        """Create its parts."""
        for name in (UNLABELLED, POSITIVE, NEGATIVE):
            (self.path / name).mkdir(parents=True, exist_ok=True)

    def pictures(self) -> list[Path]:
        """The pictures in all parts."""
        files = (path for name in (UNLABELLED, POSITIVE, NEGATIVE) for path in (self.path / name).rglob("*"))
        return sorted(path for path in files if path.suffix.lower() in PICTURES)


def sample_frames(
    store: Store,
    settings: Settings,
    items: Sequence[FeedItem],
    folder: LabelFolder,
    count: int,
    detector: Detector | None,
    log: Callable[[str], None],
    progress: ProgressCallback,
) -> SampledFramesSummary:
    """Write up to `count` frames of videos to `UNLABELLED`, the first to label first by name.

    Raises:
        ConfigError: a picture in the folder cannot be read. StorageError: the videos cannot be read.
    """
    folder.create()
    remove_abandoned(_SPOOL, folder.path)
    summary = SampledFramesSummary(str(folder.path))
    with (
        temporary_folder(_SPOOL, folder.path) as spool,
        closing(FrameSampler(store, settings, spool, detector)) as sampler,
    ):
        earlier = folder.pictures()
        known = [sampler.describe(image) for image in read_pictures(earlier, settings)]
        videos = list(_sampled(store, settings, items, sampler, summary, log, progress))
        distinct = _without_copies(videos, {source_video(path) for path in earlier})
        summary.copies = len(videos) - len(distinct)
        frames = [(video.name, frame) for video in distinct for frame in video.frames]
        summary.candidates = len(frames)
        for rank, index in enumerate(_choose(distinct, known, count, unsure=detector is not None), 1):
            name, frame = frames[index]
            frame.file.rename(folder.path / UNLABELLED / frame_name(rank, name, frame.seconds))
            summary.written += 1
    return summary


def _sampled(
    store: Store,
    settings: Settings,
    items: Sequence[FeedItem],
    sampler: FrameSampler,
    summary: SampledFramesSummary,
    log: Callable[[str], None],
    progress: ProgressCallback,
) -> Iterator[SampledVideo]:
    for done, item in enumerate(items, 1):
        try:
            with local_video(store, item.video_uri, settings.media.max_bytes) as path:
                video = sampler.sample(item.post_id, path)
        except PostError as error:
            summary.failed += 1
            summary.failures[error.reason] = summary.failures.get(error.reason, 0) + 1
            log(f"{item.post_id}: {error.reason}: {one_line(error)}")
        else:
            summary.videos += 1
            yield video
        progress(done, len(items))


def _without_copies(videos: Sequence[SampledVideo], earlier: set[str]) -> list[SampledVideo]:
    """One video of each cluster of copies; if an earlier run sampled one of them, that one."""
    # Those first, so that the first of a cluster is the one to take.
    videos = sorted(videos, key=lambda video: video.name not in earlier)
    columns = {name: pa.array([getattr(v, name) for v in videos], FACTS.field(name).type) for name in VIDEO_COLUMNS}
    _, first = np.unique(video_clusters(pa.table(columns)).codes, return_index=True)
    return [videos[index] for index in sorted(first)]


def _choose(videos: Sequence[SampledVideo], known: list[Features], count: int, *, unsure: bool) -> list[int]:
    """Indexes of the chosen ones of all frames of the videos, in order."""
    frames = [frame for video in videos for frame in video.frames]
    if not frames:
        return []
    descriptors = np.stack([frame.descriptor for frame in frames])
    selection = Selection(descriptors, np.stack(known) if known else descriptors[:0])
    if unsure:
        numbers = np.repeat(np.arange(len(videos)), [len(video.frames) for video in videos])
        selection.take_unsure(np.array([frame.margin for frame in frames]), numbers, count)
    else:
        selection.take_diverse(count)
    return selection.chosen
