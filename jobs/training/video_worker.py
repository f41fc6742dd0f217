"""Ray Train worker that trains a network on video clips."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import pyarrow as pa

from jobs.training.clips import ClipSource, Decoders, clip_tables, pixels_of
from jobs.training.state import IN_PROCESS, Progress, report, restore
from viral.datasets.labelled_features import TARGETS, target_arrays
from viral.errors import TableError
from viral.extractors.clip_network import as_clip_network
from viral.extractors.extractor import PostInput
from viral.extractors.spec import Resolver
from viral.media.media import ClipBatch as MediaClips
from viral.media.media import Facts, Media
from viral.models.epoch_plan import ClipChunk, training_chunks, validation_chunks
from viral.models.fusion_config import FIRST_RATE, RATES, FusionConfig
from viral.models.train_config import Scaling
from viral.models.video_config import VideoConfig

if TYPE_CHECKING:
    import torch

    from viral.models.video import ClipTensors, VideoNetwork
    from viral.models.video_training import VideoLearner

T = TypeVar("T")


@dataclass(frozen=True)
class VideoTask:
    """Input of a worker.

    Args:
        source: clips of the validation split; each training epoch uses a copy for its own split and seed.
        heads: shape of the heads.
        train: training settings.
        scaling: mean and scale of the target.
        means: mean of each target over the training split.
        posts: number of posts of each bucket, by split.
        decoders: decoding tasks per worker.
        resolve: locates the initial weights of the backbone.
    """

    source: ClipSource
    heads: FusionConfig
    train: VideoConfig
    scaling: Scaling
    means: dict[str, float]
    posts: Mapping[str, tuple[int, ...]]
    decoders: Decoders
    resolve: Resolver


def run(config: dict[str, Any]) -> int:
    """Train `config["task"]` from the newest checkpoint of the run, and report every epoch.

    Returns the number of epochs done before this call.
    """
    import ray.train
    import ray.train.torch
    import torch

    from viral.models.video_training import VideoLearner

    task: VideoTask = config["task"]
    rank, world = ray.train.get_context().get_world_rank(), ray.train.get_context().get_world_size()
    torch.manual_seed(task.train.seed)
    # Seeded before, so that all workers begin with the same weights.
    model = _network(task).to(ray.train.torch.get_device())
    batch_size = task.train.worker_batch_size(world)
    steps = -(-(sum(task.posts["train"]) // world) // batch_size)
    learner = VideoLearner(model, task.train, steps, ray.train.torch.prepare_model)
    state = restore(model, learner)
    resumed_at = state.epoch
    while not state.finished(task.train):
        # Different for each epoch up to 4,096 and each of up to 256 workers.
        torch.manual_seed((task.train.seed << 20) + (state.epoch << 8) + rank)  # a resumed run has the same dropout
        _epoch(task, model, learner, state, (rank, world))
        if state.finished(task.train) or not config[IN_PROCESS]:
            report(model, learner, state, rank)
    return resumed_at


def _epoch(
    task: VideoTask, model: VideoNetwork, learner: VideoLearner, state: Progress, rank_and_world: tuple[int, int]
) -> None:
    """Train one epoch and validate; every worker records the same losses."""
    seed, epoch = task.train.seed, state.epoch
    source = replace(task.source, split="train", epoch=(seed, epoch))
    clips = _Clips(task, source, training_chunks(task.posts["train"], seed, epoch, *rank_and_world), learner.device)
    start = time.perf_counter()
    train = learner.train(clips.steps(task.train.worker_batch_size(rank_and_world[1])), epoch)
    state.seconds += time.perf_counter() - start
    chunks = validation_chunks(task.posts["validation"], *rank_and_world)
    validation_clips = _Clips(task, task.source, chunks, learner.device)
    validation = learner.validate(validation_clips.batches())
    # Sums, not means: workers have different numbers of posts.
    results = _all_gather((train, validation, clips.skipped + validation_clips.skipped))
    losses = [_mean([result[i] for result in results], split) for i, split in enumerate(("training", "validation"))]
    state.skipped = dict(sum((result[2] for result in results), Counter()))
    state.record_epoch(model, *losses)


def _mean(sums: Sequence[Any], split: str) -> float:
    """Return the mean loss over all workers, from the (sum, count) of each."""
    count = sum(number for _, number in sums)
    if not count:
        raise TableError(f"no video of the {split} split can be decoded: backfill and see `viral failures`")
    return float(sum(loss for loss, _ in sums) / count)


def _network(task: VideoTask) -> VideoNetwork:
    from viral.models.linear import LinearNetwork
    from viral.models.video import VideoNetwork

    heads = LinearNetwork(task.heads)
    # Biases start at the means of the training posts: the first epochs need not learn them.
    heads.init_biases(task.means["is_viral"], {FIRST_RATE + i: task.means[name] for i, name in enumerate(RATES)})
    spec = as_clip_network(task.source.spec)
    return VideoNetwork(spec, spec.load_network(task.resolve), heads)


def _all_gather(value: T) -> list[T]:
    import torch.distributed

    # Without a process group, this process is the only worker.
    if not torch.distributed.is_initialized():
        return [value]
    values: list[Any] = [None] * torch.distributed.get_world_size()
    torch.distributed.all_gather_object(values, value)
    return values


@dataclass
class _Clips:
    """The posts of some chunks as batches; `skipped` counts unreadable videos by reason."""

    task: VideoTask
    source: ClipSource
    chunks: Sequence[ClipChunk]
    device: torch.device
    skipped: Counter[str] = field(default_factory=Counter)

    def steps(self, posts: int) -> Iterator[list[ClipTensors]]:
        """Yield the batches of each step of `posts` posts; at least one, because other workers wait for the step."""
        for table in self._tables(posts):
            yield list(self._batches(table)) or [self._empty_batch()]

    def batches(self) -> Iterator[ClipTensors]:
        """Yield all posts with a readable video in batches."""
        for table in self._tables(self.task.train.micro_batch):
            yield from self._batches(table)

    def _tables(self, posts: int) -> Iterable[pa.Table]:
        return clip_tables(self.source, self.chunks, posts, self.task.decoders)

    def _batches(self, table: pa.Table) -> Iterator[ClipTensors]:
        self.skipped.update(reason for reason in table["reason"].to_pylist() if reason)
        rows, size = table.filter(table["reason"].is_null()), self.task.train.micro_batch
        for start in range(0, rows.num_rows, size):
            yield self._batch(rows.slice(start, size))

    def _batch(self, rows: pa.Table) -> ClipTensors:
        clips = [pixels_of(row) for row in rows.select(["pixels", "shape"]).to_pylist()]
        targets = {name: np.array(values) for name, values in target_arrays(rows).items()}
        targets["target"] = self.task.scaling.standardise(targets["target"])
        return self._to_tensors(np.concatenate(clips), [len(clip) for clip in clips], targets)

    def _empty_batch(self) -> ClipTensors:
        """A black clip of weight 0."""
        spec = as_clip_network(self.source.spec)
        (need,) = spec.needs
        # Every worker must take part in the exchange of gradients of a step; weight 0 leaves them unchanged.
        black = MediaClips(np.zeros((1, need.frames, *need.size, 3), np.uint8), np.zeros((1, need.frames)))
        pixels = spec.pixels(PostInput(Media(Facts(), {need: black})))
        assert pixels is not None
        return self._to_tensors(pixels, [1], {name: np.zeros(1, np.float32) for name in TARGETS}, weight=0.0)

    def _to_tensors(
        self, pixels: np.ndarray[Any, Any], clips: list[int], targets: dict[str, Any], weight: float = 1.0
    ) -> ClipTensors:
        import torch

        from viral.models.video import ClipTensors

        on_device = {name: torch.from_numpy(values).to(self.device) for name, values in targets.items()}
        return ClipTensors(torch.from_numpy(pixels).to(self.device), clips, on_device, weight)
