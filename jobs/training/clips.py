"""Clips of labelled posts, decoded anew in each epoch by Ray Data, on the cores that training leaves free."""

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
from viral.extractors.clip_network import as_clip_network, clip_pixels, random_clips
from viral.extractors.spec import ExtractorSpec
from viral.features.posts import DecodedPost, ExtractionRequest
from viral.features.reader import MediaReader
from viral.media.requests import Clips
from viral.models.epoch_plan import ClipChunk, epoch_order
from viral.storage.store import Store

if TYPE_CHECKING:
    from ray.data import Dataset

MAX_TASKS = 4096  # one task per chunk up to this, then several chunks per task: bounds the scheduler's cost
AHEAD_BYTES = 256 << 20  # 256 MiB of clips waiting for a worker: half a minute of GPU work, little of a node's memory
PREFETCH_STEPS = 2  # steps to fetch ahead: one is used while the next arrives
_CLIPS = pa.schema({"reason": pa.string(), "shape": pa.list_(pa.int64()), "pixels": pa.large_binary()})


@dataclass(frozen=True)
class Decoders:
    """Number of decoding tasks per training worker, and the cores (or fraction of one) that each reserves."""

    tasks: int
    cpus: float


@dataclass(frozen=True)
class ClipSource:
    """Function for Ray Data that decodes the posts of chunks.

    Args:
        data: the labelled posts.
        log2_buckets: the posts are read in 2^log2_buckets buckets.
        spec: the extractor whose network takes the clips.
        settings: limits of media and sandbox.
        split: the split to read.
        epoch: seed and number of a training epoch, for random order and clips; None: stored order and fixed clips.
        clips: clips per post in training.
    """

    data: LabelledVideos
    log2_buckets: int
    spec: ExtractorSpec
    settings: Settings
    split: str
    epoch: tuple[int, int] | None = None
    clips: int = 1

    def __call__(self, batch: pa.Table) -> Iterator[pa.Table]:
        """Yield a table per chunk: ids, targets, and `pixels` (bytes) with a `shape`, or the `reason` of a failure."""
        for chunk in batch.to_pylist():
            yield self.table(ClipChunk(**chunk))

    def table(self, chunk: ClipChunk) -> pa.Table:
        """Decode the posts of a chunk, in order; columns as described in `__call__`."""
        posts = self.data.read(self.log2_buckets, chunk.bucket, (self.split,))
        if self.epoch:
            # The whole bucket is put in order, then cut: chunks of one epoch never overlap, whichever node reads them.
            posts = posts.take(epoch_order(posts.num_rows, chunk.bucket, *self.epoch))
        posts = posts.slice(chunk.start, chunk.stop - chunk.start)
        requests = [
            ExtractionRequest(row["post_id"], row["video_uri"], requests=(self._request(row["post_id"]),))
            for row in posts.select(["post_id", "video_uri"]).to_pylist()
        ]
        # Settings travel as JSON, since `_reader` caches by its arguments, which must be hashable.
        reader = _reader(self.data.posts.store.root, self.settings.model_dump_json())
        clips = pa.Table.from_pylist([self._row(post) for post in reader.read(requests)], schema=_CLIPS)
        rows = posts.select(["post_id", *TARGETS])
        for field in _CLIPS:
            rows = rows.append_column(field, clips[field.name])
        return rows

    def _request(self, post_id: str) -> Clips:
        spec = as_clip_network(self.spec)
        if self.epoch is None:
            return spec.needs[0]
        # Seeded by epoch and post: other clips in each epoch, but the same ones if a chunk is decoded again.
        return random_clips(spec, self.clips, zlib.crc32(f"{self.epoch} {post_id}".encode()))

    def _row(self, decoded: DecodedPost) -> dict[str, Any]:
        (request,) = decoded.request.requests or ()
        assert isinstance(request, Clips), "`_request` returns clips"
        # A row all the same: the driver counts the reasons, and the batches keep their order.
        if decoded.media is None:
            return {"reason": decoded.reason}
        pixels = clip_pixels(as_clip_network(self.spec), decoded.media, request)
        if pixels is None:
            return {"reason": UnreadableError.reason}
        return {"shape": list(pixels.shape), "pixels": pixels.tobytes()}


def clip_tables(source: ClipSource, chunks: Sequence[ClipChunk], posts: int, decoders: Decoders) -> Iterable[pa.Table]:
    """Yield the posts of the chunks in order, `posts` per table; at most `AHEAD_BYTES` are decoded ahead."""
    if not chunks:
        return ()
    tables: Iterable[pa.Table] = _dataset(source, chunks, decoders).iter_batches(
        batch_size=posts, batch_format="pyarrow", prefetch_batches=PREFETCH_STEPS
    )
    return tables


def _dataset(source: ClipSource, chunks: Sequence[ClipChunk], decoders: Decoders) -> Dataset:
    import ray.data
    from ray.data import ExecutionResources, TaskPoolStrategy

    dataset = ray.data.from_items([asdict(chunk) for chunk in chunks], override_num_blocks=min(len(chunks), MAX_TASKS))
    dataset.context.enable_progress_bars = False
    options = dataset.context.execution_options
    # Which posts come first depends on the seed alone, not on how fast videos decode.
    options.preserve_order = True
    options.resource_limits = ExecutionResources.for_limits(object_store_memory=AHEAD_BYTES)
    compute = TaskPoolStrategy(size=decoders.tasks)
    return dataset.map_batches(source, batch_size=1, batch_format="pyarrow", num_cpus=decoders.cpus, compute=compute)


@cache
def _reader(root: str, settings: str) -> MediaReader:
    """Return the reader of this process; its sandbox stays open, because Ray reuses the process in later epochs."""
    return MediaReader((), Store(root), Settings.model_validate_json(settings))


def pixels_of(row: dict[str, Any]) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Return the clips of a row, uint8 (C, T, H, W, 3)."""
    return np.frombuffer(row["pixels"], np.uint8).reshape(row["shape"])
