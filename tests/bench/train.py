"""Samples a second of training: ours on one worker and on two, beside the same network in a plain PyTorch loop.

`python tests/bench/train.py [--posts 20000] [--rounds 3] [--architecture gated] [--batch-size 512]`. The table is made
up; its streams are those of `full`. The three take turns, so that what else the machine does meets all. Ray's start
and the first pass over the table are not counted: they are said apart.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
import uuid
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch

from jobs import train_network
from jobs.runtime.session import session
from jobs.training.specs import TrainSpec
from viral.datasets.streams import streams_of
from viral.extractors.feature_set import FeatureSet
from viral.features.feature_table import features_table
from viral.models.fusion_config import RATES, FusionConfig
from viral.models.losses import fusion_loss
from viral.models.networks import network
from viral.models.train_config import TrainConfig
from viral.storage.store import Store
from viral.tables import replaced
from viral.tables.bucketed import bits_for
from viral.tables.schemas import LABELS

SET = FeatureSet.named("full", weights="random")
STREAMS = streams_of(SET)
ROWS = 4096  # written at once
VALIDATION = 0.05
ONE, HALVES, TWICE = "viral, one worker", "viral, two workers, half a batch each", "viral, two workers, a batch each"


def fill(store: Store, posts: int) -> None:
    """A feature table and a label table of so many posts."""
    chance, features = np.random.default_rng(0), features_table(store, SET)
    labels = replaced.begin(store, "labels/bench", LABELS, "made")
    for first in range(0, posts, ROWS):
        count = min(ROWS, posts - first)
        ids = [f"post{number:08}" for number in range(first, first + count)]
        values = {stream.name: chance.normal(size=(count, stream.dim)).astype(np.float32) for stream in STREAMS}
        columns = {name: pa.array(list(vectors), pa.list_(pa.float32())) for name, vectors in values.items()}
        rows = {"post_id": ids, "attempt": [1] * count, "status": ["ok"] * count, **columns}
        rows |= {"finished_at": [datetime.now(UTC)] * count, "feature_set": [SET.name] * count}
        rows["code_version"] = ["bench"] * count
        features.append(_table(rows, features.schema, count), bits_for(posts))
        target = values["caption"][:, 0] + values["r2plus1d"][:, 0]
        split = np.where(chance.random(count) < VALIDATION, "validation", "train").tolist()
        said = {"post_id": ids, "split": split, "target": target.astype(float), "is_viral": target > 1.5}
        labels.append(_table(said, LABELS, count), bits_for(posts))
    about = {"name": "bench", "spec": {"definition": "log_views"}, "split": {"kind": "random"}}
    replaced.commit(store, "labels/bench", "made", about)


def _table(columns: dict[str, object], schema: pa.Schema, count: int) -> pa.Table:
    filled = [
        pa.array(columns[each.name], each.type) if each.name in columns else pa.nulls(count, each.type)
        for each in schema
    ]
    return pa.Table.from_arrays(filled, schema=schema)


def plain(rows: int, architecture: str, config: TrainConfig, threads: int) -> float:
    """The loop that one would write: everything in memory as tensors, the same network, loss and optimiser."""
    torch.manual_seed(0)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    vectors = {stream.name: torch.randn(rows, stream.dim) for stream in STREAMS}
    present = torch.ones(rows, len(STREAMS), dtype=torch.bool)
    targets = {"target": torch.randn(rows), "is_viral": (torch.rand(rows) > 0.9).float()}
    targets |= {name: torch.full((rows,), float("nan")) for name in RATES}
    model = network(FusionConfig(STREAMS, architecture))
    optimiser = torch.optim.AdamW(model.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay)
    size, begun = config.batch(rows, 1), time.perf_counter()
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, -(-rows // size) * config.epochs)
    for _ in range(config.epochs):
        order = torch.randperm(rows)
        for first in range(0, rows, size):
            at = order[first : first + size]
            optimiser.zero_grad()
            said = model({name: each[at] for name, each in vectors.items()}, present[at])
            fusion_loss(said, {name: each[at] for name, each in targets.items()}).backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimiser.step()
            schedule.step()
    seconds = time.perf_counter() - begun
    torch.set_num_threads(before)
    return rows * config.epochs / seconds


def ours(store: Store, architecture: str, config: TrainConfig, workers: int) -> tuple[float, float]:
    """Samples a second of the epochs, and the wall seconds of the whole run."""
    begun = time.perf_counter()
    spec = TrainSpec(f"bench-{uuid.uuid4().hex[:6]}", SET, "bench", workers=workers, architecture=architecture)
    said = train_network.run(store, spec, config)
    return said.samples_per_second, time.perf_counter() - begun


def measured(
    store: Store, rows: int, rounds: int, architecture: str, config: TrainConfig
) -> Iterator[tuple[str, float]]:
    """One figure after another, by side."""
    size = config.batch(rows, 1)
    for seed in range(rounds):
        for threads in (1, 2):
            yield f"plain loop, {threads} thread(s)", plain(rows, architecture, config, threads)
        for side, workers, together in ((ONE, 1, size), (HALVES, 2, size), (TWICE, 2, 2 * size)):
            speed, wall = ours(store, architecture, replace(config, seed=seed, batch_size=together), workers)
            yield side, speed
            yield f"{side}: wall seconds of the run", wall


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--posts", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--batch-size", type=int, default=512)
    parser.add_argument("--architecture", default="gated")
    given = parser.parse_args()
    config = TrainConfig(epochs=given.epochs, batch_size=given.batch_size, patience=given.epochs, precision="float32")
    found = defaultdict(list)
    with tempfile.TemporaryDirectory() as folder:
        store = Store.open(Path(folder))
        fill(store, given.posts)
        rows = round(given.posts * (1 - VALIDATION))
        with session():
            for side, figure in measured(store, rows, given.rounds, given.architecture, config):
                print(f"{figure:10.1f}  {side}", flush=True)
                found[side].append(figure)
    middle = {side: statistics.median(figures) for side, figures in found.items()}
    for side, figure in middle.items():
        print(f"{figure:10.1f}  {side}, median of {given.rounds}")
    print(f"{middle[ONE] / middle['plain loop, 1 thread(s)']:10.2f}  one worker to a plain loop")
    for side in (HALVES, TWICE):
        print(f"{middle[side] / middle[ONE]:10.2f}  {side}, to one worker")


if __name__ == "__main__":
    main()
