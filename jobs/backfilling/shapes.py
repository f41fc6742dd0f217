"""The two shapes of a backfill on Ray Data: both stages in one actor, or decoding actors that feed encoding ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from jobs.backfilling.stages import BackfillSpec, Chunk, DecodeChunk, EncodePosts, ExtractChunk

if TYPE_CHECKING:
    from ray.data import Dataset

MAX_TASKS_IN_FLIGHT = 2  # chunks per actor, the running one included: no more of them wait behind a long video
TWO_STAGE_BATCH_SIZE = 32  # posts sent to an encoder at once and written as one file: some 200 MB of frames and sound


def stage_seconds(spec: BackfillSpec, chunks: Sequence[Chunk]) -> Dataset:
    """Dataset that runs the backfill and yields the stage times of each post; shape `auto` uses two stages on GPUs."""
    import ray
    import ray.data

    workers, gpus = num_workers(spec), int(ray.cluster_resources().get("GPU", 0))
    dataset = ray.data.from_items([asdict(chunk) for chunk in chunks], override_num_blocks=len(chunks))
    shape = spec.settings.backfill.shape
    if shape == "two-stage" or (shape == "auto" and gpus):
        return _two_stage(dataset, spec, min(workers, len(chunks)), gpus)
    return dataset.map_batches(
        ExtractChunk,
        fn_constructor_args=(spec,),
        batch_size=1,
        batch_format="pyarrow",
        num_cpus=1,
        compute=ray.data.ActorPoolStrategy(
            size=min(workers, len(chunks)), max_tasks_in_flight_per_actor=MAX_TASKS_IN_FLIGHT
        ),
    )


def num_workers(spec: BackfillSpec) -> int:
    """Cores the backfill uses. Actor pools have this fixed size: an autoscaler adds the nodes that are missing."""
    import ray

    return spec.settings.backfill.workers or max(1, int(ray.cluster_resources().get("CPU", 1)))


def _two_stage(dataset: Dataset, spec: BackfillSpec, workers: int, gpus: int) -> Dataset:
    """One encoder per GPU, or without GPUs half of the workers; on a single core both stages share it."""
    from ray.data import ActorPoolStrategy

    cpus = 1.0 if workers > 1 else 0.5
    encoders = spec.settings.backfill.encoders or gpus or workers // 2
    encoders = max(1, min(encoders, workers - 1))  # an encoder takes a core too, and at least one core has to decode
    decoded = dataset.map_batches(
        DecodeChunk,
        fn_constructor_args=(spec,),
        batch_size=1,
        batch_format="pyarrow",
        num_cpus=cpus,
        compute=ActorPoolStrategy(size=max(1, workers - encoders), max_tasks_in_flight_per_actor=MAX_TASKS_IN_FLIGHT),
    )
    return decoded.map_batches(
        EncodePosts,
        fn_constructor_args=(spec, "cuda" if gpus else "cpu"),
        batch_size=TWO_STAGE_BATCH_SIZE,
        batch_format="pyarrow",
        num_cpus=cpus,
        num_gpus=1 if gpus else 0,
        compute=ActorPoolStrategy(size=encoders, max_tasks_in_flight_per_actor=MAX_TASKS_IN_FLIGHT),
    )
