"""The two shapes of a backfill on Ray Data: both stages in one worker, or decoding workers that feed encoding ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from jobs.backfilling.stages import Chunk, DecodeChunk, EncodePosts, ExtractChunk, Work

if TYPE_CHECKING:
    from ray.data import Dataset

QUEUED = 2  # chunks given to a worker, the one at work among them: no more wait behind a long video than need be
ENCODED_TOGETHER = 32  # posts that cross to an encoder at once, and a part has: some 200 MB of frames and sound


def outcomes(work: Work, chunks: Sequence[Chunk]) -> Dataset:
    """What is told of each post, by the shape that the settings ask for; `auto` looks whether there is a GPU."""
    import ray
    import ray.data

    workers, gpus = workers_of(work), int(ray.cluster_resources().get("GPU", 0))
    dataset = ray.data.from_items([asdict(chunk) for chunk in chunks], override_num_blocks=len(chunks))
    shape = work.settings.backfill.shape
    if shape == "two-stage" or (shape == "auto" and gpus):
        return _two_stage(dataset, work, min(workers, len(chunks)), gpus)
    return dataset.map_batches(
        ExtractChunk,
        fn_constructor_args=(work,),
        batch_size=1,
        num_cpus=1,
        compute=ray.data.ActorPoolStrategy(size=min(workers, len(chunks)), max_tasks_in_flight_per_actor=QUEUED),
    )


def workers_of(work: Work) -> int:
    """How many cores the backfill takes. Pools have a fixed size: what a cluster lacks of it, its autoscaler adds."""
    import ray

    return work.settings.backfill.workers or max(1, int(ray.cluster_resources().get("CPU", 1)))


def _two_stage(dataset: Dataset, work: Work, workers: int, gpus: int) -> Dataset:
    """An encoder a GPU, or where there is none half of the workers encode; on a single core both halves share it."""
    from ray.data import ActorPoolStrategy

    share = 1.0 if workers > 1 else 0.5
    wanted = work.settings.backfill.encoders or gpus or workers // 2
    encoders = max(1, min(wanted, workers - 1))  # each takes a core too, and one is left to decode
    decoded = dataset.map_batches(
        DecodeChunk,
        fn_constructor_args=(work,),
        batch_size=1,
        num_cpus=share,
        compute=ActorPoolStrategy(size=max(1, workers - encoders), max_tasks_in_flight_per_actor=QUEUED),
    )
    return decoded.map_batches(
        EncodePosts,
        fn_constructor_args=(work, "cuda" if gpus else "cpu"),
        batch_size=ENCODED_TOGETHER,
        num_cpus=share,
        num_gpus=1 if gpus else 0,
        compute=ActorPoolStrategy(size=encoders, max_tasks_in_flight_per_actor=QUEUED),
    )
