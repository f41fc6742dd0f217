"""Train one ensemble member on several workers of Ray Train: trees on more posts than one node can hold."""

from __future__ import annotations

from typing import Any

from jobs.training.ensemble_member import MemberTask, TrainedMember
from jobs.training.state import run_config
from viral.storage.store import Store
from viral.tables.staging import staging_folder

CPUS = 1.0  # per worker; LightGBM runs one thread per core that Ray reserves for it


def train(store: Store, task: MemberTask) -> TrainedMember:
    """Train one member on `task.workers` workers, each with a shard of the buckets.

    During training the workers talk over open ports of their nodes, without encryption or authentication.
    """
    from ray.train import ScalingConfig
    from ray.train.lightgbm import LightGBMTrainer

    # Ray Train wants a place for its own files, which nobody reads afterwards.
    with staging_folder(store, "train") as folder:
        trainer = LightGBMTrainer(
            run,
            train_loop_config={"task": task},
            scaling_config=ScalingConfig(
                num_workers=task.workers,
                resources_per_worker={"CPU": CPUS},
                placement_strategy="SPREAD",  # one worker per node, as far as possible: each holds its shard in memory
            ),
            run_config=run_config(store, folder),
        )
        trained: TrainedMember = trainer.fit().return_value
    return trained


def run(config: dict[str, Any]) -> TrainedMember:
    """Train on one worker; all workers build the same trees."""
    import ray.train
    import ray.train.collective
    from ray.train.lightgbm import get_network_params

    from jobs.training import ensemble_member
    from viral.models.ensemble.rows import WorkerGroup

    task: MemberTask = config["task"]
    context = ray.train.get_context()
    rows = min(task.rows, task.limit(task.name))
    network = get_network_params()
    assert network, "a LightGBMTrainer sets the network parameters"
    rank, size = context.get_world_rank(), context.get_world_size()
    return ensemble_member.train(task, WorkerGroup(rank, size, rows, network, ray.train.collective.barrier))
