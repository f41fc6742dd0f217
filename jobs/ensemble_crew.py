"""One member of an ensemble, grown by several workers of Ray Train together: of more posts than one node can bin."""

from __future__ import annotations

import uuid
from typing import Any

from jobs.ensemble_member import MemberTask, Trained
from jobs.training_state import kept_at
from viral.store import Store


def train(store: Store, task: MemberTask) -> Trained:
    """Train one member on `task.workers` workers, each with its share of the buckets.

    LightGBM's workers talk to each other over ports of their nodes, without encryption or a key, while it lasts.
    """
    from ray.train import ScalingConfig
    from ray.train.lightgbm import LightGBMTrainer

    place = f"runs/trees-{uuid.uuid4().hex[:12]}"
    trainer = LightGBMTrainer(
        run,
        train_loop_config={"task": task},
        scaling_config=ScalingConfig(num_workers=task.workers, resources_per_worker={"CPU": 1}),
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
    from ray.train.lightgbm import get_network_params

    from jobs import ensemble_member
    from viral.models.ensemble.rows import Crew

    task: MemberTask = config["task"]
    context = ray.train.get_context()
    rows = min(task.rows, task.limit(task.name))
    return ensemble_member.train(
        task, Crew(context.get_world_rank(), context.get_world_size(), rows, get_network_params())
    )
