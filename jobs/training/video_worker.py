"""What each worker of Ray Train runs to train a network on clips."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import pyarrow as pa

from jobs.training.clips import ClipSource, Decoders, clip_tables, pixels_of
from jobs.training.state import Progress, report, restore
from viral.datasets.labelled_features import TARGETS, targets_of
from viral.errors import TableError
from viral.extractors.clip_network import as_clip_network
from viral.extractors.extractor import Sample
from viral.extractors.spec import Resolve
from viral.media.media import ClipBatch as MediaClips
from viral.media.media import Facts, Media
from viral.models.epoch_plan import ClipChunk, training_chunks, validation_chunks
from viral.models.fusion_config import FIRST_RATE, RATES, FusionConfig
from viral.models.train_config import Scaling
from viral.models.video_config import VideoConfig

if TYPE_CHECKING:
    import torch

    from viral.models.video import ClipBatch, VideoNetwork
    from viral.models.video_training import VideoLearner

T = TypeVar("T")


@dataclass(frozen=True)
class VideoTask:
    """All that a worker needs to know.

    Args:
        source: the validation split's clips; a training epoch's are of the same posts' tables.
        heads: their shape.
        train: how to train.
        scaling: of the target.
        means: of each target over the training split.
        posts: for each split the number of posts of each bucket.
        decoders: what decodes for one worker.
        resolve: where the weights come from that the backbone begins with.
    """

    source: ClipSource
    heads: FusionConfig
    train: VideoConfig
    scaling: Scaling
    means: dict[str, float]
    posts: Mapping[str, tuple[int, ...]]
    decoders: Decoders
    resolve: Resolve


def run(config: dict[str, Any]) -> int:
    """Train for `config["task"]`, from the run's newest checkpoint where there is one; report every epoch.

    Returns:
        The number of epochs that were done already when it began.
    """
    import ray.train
    import ray.train.torch
    import torch

    from viral.models.video_training import VideoLearner

    task: VideoTask = config["task"]
    rank, world = ray.train.get_context().get_world_rank(), ray.train.get_context().get_world_size()
    torch.manual_seed(task.train.seed)
    model = _network(task).to(ray.train.torch.get_device())
    share = task.train.share(world)
    steps = -(-(sum(task.posts["train"]) // world) // share)
    learner = VideoLearner(model, task.train, steps, ray.train.torch.prepare_model)
    state = restore(model, learner)
    began = state.epoch
    while not state.over(task.train):
        torch.manual_seed((task.train.seed << 20) + (state.epoch << 8) + rank)  # of dropout: the same after a resume
        _epoch(task, model, learner, state, (rank, world))
        report(model, learner, state, rank)
    return began


def _epoch(
    task: VideoTask, model: VideoNetwork, learner: VideoLearner, state: Progress, place: tuple[int, int]
) -> None:
    """One pass over both splits, whose losses all workers know in the end."""
    seed, epoch = task.train.seed, state.epoch
    source = replace(task.source, split="train", epoch=(seed, epoch))
    clips = _Clips(task, source, training_chunks(task.posts["train"], seed, epoch, *place), learner.device)
    begun = time.perf_counter()
    train = learner.train(clips.steps(task.train.share(place[1])), epoch)
    state.seconds += time.perf_counter() - begun
    held = _Clips(task, task.source, validation_chunks(task.posts["validation"], *place), learner.device)
    validation = learner.validate(held.batches())
    told = _gathered((train, validation, clips.skipped + held.skipped))
    losses = [_mean([each[split] for each in told], name) for split, name in enumerate(("training", "validation"))]
    state.skipped = dict(sum((each[2] for each in told), Counter()))
    state.add(model, *losses)


def _mean(sums: Sequence[Any], split: str) -> float:
    count = sum(each[1] for each in sums)
    if not count:
        raise TableError(f"no video of the {split} split can be decoded: backfill and see `viral failures`")
    return float(sum(each[0] for each in sums) / count)


def _network(task: VideoTask) -> VideoNetwork:
    from viral.models.linear import Linear
    from viral.models.video import VideoNetwork

    heads = Linear(task.heads)
    heads.start_at(task.means["is_viral"], {FIRST_RATE + at: task.means[name] for at, name in enumerate(RATES)})
    spec = as_clip_network(task.source.spec)
    return VideoNetwork(spec, spec.filled(task.resolve), heads)


def _gathered(mine: T) -> list[T]:
    """What each worker has, in order of rank."""
    import torch.distributed

    if not torch.distributed.is_initialized():
        return [mine]
    all_of_them: list[Any] = [None] * torch.distributed.get_world_size()
    torch.distributed.all_gather_object(all_of_them, mine)
    return all_of_them


@dataclass
class _Clips:
    """The posts of some chunks as batches; those that could not be decoded are counted in `skipped`."""

    task: VideoTask
    source: ClipSource
    chunks: Sequence[ClipChunk]
    device: torch.device
    skipped: Counter[str] = field(default_factory=Counter)

    def steps(self, posts: int) -> Iterator[list[ClipBatch]]:
        """The batches of each step of so many posts, of which some may be lost; never none, for other workers wait."""
        for table in self._tables(posts):
            yield list(self._batches(table)) or [self._stand_in()]

    def batches(self) -> Iterator[ClipBatch]:
        """All posts that could be decoded."""
        for table in self._tables(self.task.train.micro_batch):
            yield from self._batches(table)

    def _tables(self, posts: int) -> Iterable[pa.Table]:
        return clip_tables(self.source, self.chunks, posts, self.task.decoders)

    def _batches(self, table: pa.Table) -> Iterator[ClipBatch]:
        self.skipped.update(reason for reason in table["reason"].to_pylist() if reason)
        rows, size = table.filter(table["reason"].is_null()), self.task.train.micro_batch
        for start in range(0, rows.num_rows, size):
            yield self._batch(rows.slice(start, size))

    def _batch(self, rows: pa.Table) -> ClipBatch:
        clips = [pixels_of(row) for row in rows.select(["pixels", "shape"]).to_pylist()]
        targets = {name: np.array(each) for name, each in targets_of(rows).items()}
        targets["target"] = self.task.scaling.standardise(targets["target"])
        return self._made(np.concatenate(clips), [len(each) for each in clips], targets)

    def _stand_in(self) -> ClipBatch:
        """A black clip that weighs nothing."""
        spec = as_clip_network(self.source.spec)
        (need,) = spec.needs
        black = MediaClips(np.zeros((1, need.frames, *need.size, 3), np.uint8), np.zeros((1, need.frames)))
        pixels = spec.pixels(Sample(Media(Facts(), {need: black})))
        assert pixels is not None
        return self._made(pixels, [1], {name: np.zeros(1, np.float32) for name in TARGETS}, weight=0.0)

    def _made(
        self, pixels: np.ndarray[Any, Any], clips: list[int], targets: dict[str, Any], weight: float = 1.0
    ) -> ClipBatch:
        import torch

        from viral.models.video import ClipBatch

        on_device = {name: torch.from_numpy(each).to(self.device) for name, each in targets.items()}
        return ClipBatch(torch.from_numpy(pixels).to(self.device), clips, on_device, weight)
