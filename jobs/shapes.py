"""The two shapes of a backfill on Ray Data: both stages in one worker, or decoding workers that feed encoding ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from jobs.extract import Chunk, DecodeChunk, EncodePosts, ExtractChunk, Work

if TYPE_CHECKING:
    from ray.data import Dataset

ENCODED_TOGETHER = 32  # posts that cross to an encoder at once, and a part has: some 200 MB of frames and sound


def outcomes(work: Work, chunks: Sequence[Chunk]) -> Dataset:
    """What is told of each post, by the shape that the settings ask for; `auto` looks whether there is a GPU."""
    import ray
    import ray.data

    resources = ray.cluster_resources()
    cores, gpus = int(resources.get("CPU", 1)), int(resources.get("GPU", 0))
    dataset = ray.data.from_items([asdict(chunk) for chunk in chunks], override_num_blocks=len(chunks))
    shape = work.settings.backfill.shape
    if shape == "two-stage" or (shape == "auto" and gpus):
        return _two_stage(dataset, work, min(cores, len(chunks)), gpus)
    return dataset.map_batches(
        ExtractChunk,
        fn_constructor_args=(work,),
        batch_size=1,
        num_cpus=1,
        compute=ray.data.ActorPoolStrategy(size=max(1, min(len(chunks), cores))),
    )


def _two_stage(dataset: Dataset, work: Work, cores: int, gpus: int) -> Dataset:
    """An encoder a GPU, or where there is none half of the cores encode; on a single core both halves share it."""
    from ray.data import ActorPoolStrategy

    share = 1.0 if cores > 1 else 0.5
    encoders = work.settings.backfill.encoders or gpus or max(1, cores // 2)
    decoded = dataset.map_batches(
        DecodeChunk,
        fn_constructor_args=(work,),
        batch_size=1,
        num_cpus=share,
        compute=ActorPoolStrategy(size=max(1, cores - encoders)),
    )
    return decoded.map_batches(
        EncodePosts,
        fn_constructor_args=(work,),
        batch_size=ENCODED_TOGETHER,
        num_cpus=share,
        num_gpus=1 if gpus else 0,
        compute=ActorPoolStrategy(size=encoders),
    )
