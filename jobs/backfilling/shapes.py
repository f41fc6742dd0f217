"""The two shapes of a backfill on Ray Data: both stages in one actor, or separate decoding and encoding actors."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from jobs.backfilling.chunks import Chunk
from jobs.backfilling.profile import DECODING
from jobs.backfilling.stages import BackfillSpec, DecodeChunk, EncodePosts, ExtractChunk
from jobs.runtime.session import connect, on_cluster
from viral.tables.run_log import runs

if TYPE_CHECKING:
    from ray.data import Dataset

# Ray takes some ten seconds to start, and to start a worker that imports the extractors' packages. As many posts take
# one process less time than that, or little more with large networks.
POSTS_WITHOUT_RAY = 8
MAX_TASKS_IN_FLIGHT = 2  # chunks per actor: one runs and only one waits, possibly behind a long video
LOOK_BACK = 20  # runs of the log, among which an earlier backfill of the same set is looked for
TWO_STAGE_BATCH_SIZE = 32  # posts that an encoder gets and writes as one file: some 200 MB of frames and audio


def runs_here(spec: BackfillSpec, posts: int) -> bool:
    """Whether so many posts are left to this process: few, on no cluster, and nobody asked for several workers."""
    settings = spec.settings.backfill
    several = settings.shape != "auto" or settings.workers not in (None, 1)
    return posts <= POSTS_WITHOUT_RAY and not several and not on_cluster()


def reports(spec: BackfillSpec, chunks: Sequence[Chunk]) -> Dataset:
    """Build the dataset that runs the backfill and yields a report of each post."""
    import ray.data

    workers, gpus = num_workers(spec), num_gpus()
    # One block per chunk: Ray hands blocks to whichever actor is free, so that a slow chunk holds up no other.
    dataset = ray.data.from_items([asdict(chunk) for chunk in chunks], override_num_blocks=len(chunks))
    shape = spec.settings.backfill.shape
    # Without a GPU, handing decoded frames to another actor costs a copy through the object store and gains nothing.
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


def num_gpus() -> int:
    """Return the number of GPUs of the cluster as it is; those that an autoscaler may add do not change the shape."""
    import ray

    connect()
    return int(ray.cluster_resources().get("GPU", 0))


def num_workers(spec: BackfillSpec) -> int:
    """Return the number of cores to use. Actor pools have a fixed size, for which an autoscaler adds missing nodes."""
    import ray

    connect()
    return spec.settings.backfill.workers or max(1, int(ray.cluster_resources().get("CPU", 1)))


def num_encoders(spec: BackfillSpec, workers: int, gpus: int) -> int:
    """Return how many of the workers encode, where the others decode for them.

    As many as keep pace with the others, by what the stages have cost in earlier runs. Without such a run, one per GPU,
    or half of the workers. At least one has to decode, and an encoder on a GPU takes a core, too.
    """
    settings = spec.settings.backfill
    share = None if settings.encoders else _encoding_share(spec, gpus)
    if share is None:
        encoders = settings.encoders or gpus or workers // 2
    else:
        # With GPUs, which are dearer than cores, no more than there is work for; rounded up, so that cores never wait.
        encoders = min(gpus, math.ceil(workers * share)) if gpus else round(workers * share)
    return max(1, min(encoders, workers - 1))


def _encoding_share(spec: BackfillSpec, gpus: int) -> float | None:
    """Return the share of encoding in the time that all stages took in earlier runs; None without such runs."""
    seconds: Counter[str] = Counter()
    for run in runs(spec.store, LOOK_BACK):
        summary = run.summary
        # A network takes another time on a GPU.
        if summary.get("table") == spec.feature_set.table and bool(summary.get("gpus")) == bool(gpus):
            seconds.update(summary.get("stage_seconds", {}))
    total = seconds.total()
    return 1 - sum(seconds[stage] for stage in DECODING) / total if total else None


def _two_stage(dataset: Dataset, spec: BackfillSpec, workers: int, gpus: int) -> Dataset:
    """Decode and encode in actors of their own; on a single core both share it."""
    from ray.data import ActorPoolStrategy

    # Halves on a single core: with a whole core each, the second actor would wait forever for the first one's.
    cpus, encoders = 1.0 if workers > 1 else 0.5, num_encoders(spec, workers, gpus)
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
        # A whole one: the networks of a feature set stay loaded on it until the job ends.
        num_gpus=1 if gpus else 0,
        compute=ActorPoolStrategy(size=encoders, max_tasks_in_flight_per_actor=MAX_TASKS_IN_FLIGHT),
    )
