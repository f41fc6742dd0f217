"""One member of an ensemble, grown by several workers of Ray Train together: of more posts than one node can bin."""

from __future__ import annotations

from typing import Any

from jobs.training.ensemble_member import MemberTask, Trained
from jobs.training.state import kept_at
from viral.storage.store import Store

CPUS = 1.0  # of a worker


def train(store: Store, task: MemberTask, place: str) -> Trained:
    """Train one member on `task.workers` workers, each with its share of the buckets; Ray keeps its notes at `place`.

    LightGBM's workers talk to each other over ports of their nodes, without encryption or a key, while it lasts.
    """
    from ray.train import ScalingConfig
    from ray.train.lightgbm import LightGBMTrainer

    store.delete_below(place)  # of a run that was killed: it begins again
    trainer = LightGBMTrainer(
        run,
        train_loop_config={"task": task},
        scaling_config=ScalingConfig(
            num_workers=task.workers,
            resources_per_worker={"CPU": CPUS},
            placement_strategy="SPREAD",  # each node's memory is to hold its share
        ),
        run_config=kept_at(store, place),
    )
    try:
        trained: Trained = trainer.fit().return_value
    finally:
        store.delete_below(place)
    return trained


def run(config: dict[str, Any]) -> Trained:
    """What each worker runs: all grow the same trees."""
    import ray.train
    import ray.train.collective
    from ray.train.lightgbm import get_network_params

    from jobs.training import ensemble_member
    from viral.models.ensemble.rows import Crew

    task: MemberTask = config["task"]
    context = ray.train.get_context()
    rows = min(task.rows, task.limit(task.name))
    network = get_network_params()
    assert network, "Ray tells a LightGBMTrainer's workers of each other"
    crew = Crew(context.get_world_rank(), context.get_world_size(), rows, network, ray.train.collective.barrier)
    return ensemble_member.train(task, crew)
