"""Labelled posts → their clips, decoded by Ray Data on cores that are free, anew each epoch."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from viral.config import Settings
from viral.datasets.labelled_features import TARGETS
from viral.datasets.labelled_videos import LabelledVideos
from viral.errors import UnreadableError
from viral.extractors.clip_network import as_clip_network, random_clips, seen
from viral.extractors.spec import ExtractorSpec
from viral.features.reader import Decoded, Job, Reader
from viral.media.requests import Clips
from viral.models.epoch_plan import ClipChunk, order_of
from viral.storage.store import Store

if TYPE_CHECKING:
    from ray.data import Dataset

MAX_TASKS = 4096  # a task a chunk, several chunks a task beyond this
AHEAD_BYTES = 256 << 20  # of decoded clips that wait for a worker: half a minute of a GPU's work, a corner of a node
PREFETCHED = 2  # steps whose clips are at the worker before it asks for them


@dataclass(frozen=True)
class Decoders:
    """How many tasks decode for one training worker at once, and how much of a core each takes of Ray."""

    tasks: int
    cpus: float


@dataclass(frozen=True)
class ClipSource:
    """Chunks in, a table of decoded posts a chunk out. Ray Data calls it in its tasks.

    Args:
        data: the labelled posts, in 2^bits buckets.
        bits: see there.
        spec: the network that the clips are for.
        settings: limits of media and sandbox.
        split: which posts.
        epoch: the seed and the number of a training epoch, which decide order and clips; None: in order, fixed clips.
        clips: of a post in training.
    """

    data: LabelledVideos
    bits: int
    spec: ExtractorSpec
    settings: Settings
    split: str
    epoch: tuple[int, int] | None = None
    clips: int = 1

    def __call__(self, batch: pa.Table) -> Iterator[pa.Table]:
        """The posts of each chunk: targets, `pixels` as bytes with their `shape`, or a `reason` why none."""
        for chunk in batch.to_pylist():
            yield self.table(ClipChunk(**chunk))

    def table(self, chunk: ClipChunk) -> pa.Table:
        """The posts of a chunk, in its order."""
        posts = self.data.read(self.bits, chunk.bucket, (self.split,))
        if self.epoch:
            posts = posts.take(order_of(posts.num_rows, chunk.bucket, *self.epoch))
        posts = posts.slice(chunk.start, chunk.stop - chunk.start)
        jobs = [
            Job(row["post_id"], row["video_uri"], requests=(self._request(row["post_id"]),)) for row in _rows(posts)
        ]
        reader = _reader(self.data.posts.store.root, self.settings.model_dump_json())
        decoded = [self._row(each) for each in reader.run(jobs)]
        return _joined(posts, decoded)

    def _request(self, post_id: str) -> Clips:
        spec = as_clip_network(self.spec)
        if self.epoch is None:
            return spec.needs[0]
        return random_clips(spec, self.clips, zlib.crc32(f"{self.epoch} {post_id}".encode()))

    def _row(self, decoded: Decoded) -> dict[str, Any]:
        (request,) = decoded.job.requests or ()
        assert isinstance(request, Clips), "as asked for"
        if decoded.media is None:
            return {"reason": decoded.reason, "shape": None, "pixels": None}
        pixels = seen(as_clip_network(self.spec), decoded.media, request)
        if pixels is None:
            return {"reason": UnreadableError.reason, "shape": None, "pixels": None}
        return {"reason": None, "shape": list(pixels.shape), "pixels": pixels.tobytes()}


def clip_tables(source: ClipSource, chunks: Sequence[ClipChunk], posts: int, decoders: Decoders) -> Iterable[pa.Table]:
    """The posts of these chunks in their order, so many a table; few wait decoded, however many there are."""
    if not chunks:
        return ()
    made: Dataset = _dataset(source, chunks, decoders)
    tables: Iterable[pa.Table] = made.iter_batches(
        batch_size=posts, batch_format="pyarrow", prefetch_batches=PREFETCHED
    )
    return tables


def _dataset(source: ClipSource, chunks: Sequence[ClipChunk], decoders: Decoders) -> Dataset:
    import ray.data
    from ray.data import ExecutionResources, TaskPoolStrategy

    dataset = ray.data.from_items([asdict(chunk) for chunk in chunks], override_num_blocks=min(len(chunks), MAX_TASKS))
    dataset.context.enable_progress_bars = False
    options = dataset.context.execution_options
    options.preserve_order = True
    options.resource_limits = ExecutionResources.for_limits(object_store_memory=AHEAD_BYTES)
    compute = TaskPoolStrategy(size=decoders.tasks)
    return dataset.map_batches(source, batch_size=1, batch_format="pyarrow", num_cpus=decoders.cpus, compute=compute)


@cache
def _reader(root: str, settings: str) -> Reader:
    """One sandbox a process: Ray calls its tasks in processes that it keeps, from one epoch to the next."""
    return Reader((), Store(root), Settings.model_validate_json(settings))


def _rows(posts: pa.Table) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = posts.select(["post_id", "video_uri"]).to_pylist()
    return rows


def _joined(posts: pa.Table, decoded: Sequence[dict[str, Any]]) -> pa.Table:
    schema = pa.schema({"reason": pa.string(), "shape": pa.list_(pa.int64()), "pixels": pa.large_binary()})
    clips = pa.Table.from_pylist(list(decoded), schema=schema)
    rows = posts.select(["post_id", *TARGETS])
    for name in schema.names:
        rows = rows.append_column(schema.field(name), clips[name])
    return rows


def pixels_of(row: dict[str, Any]) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """The clips of a row, uint8 (C, T, H, W, 3)."""
    return np.frombuffer(row["pixels"], np.uint8).reshape(row["shape"])
