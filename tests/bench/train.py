"""Training throughput on one and two workers, against the same network in a plain PyTorch loop.

`python tests/bench/train.py [--posts 20000] [--rounds 3] [--architecture gated] [--batch-size 512]`. The table is
synthetic, with the streams of `full`. Samples per second exclude Ray's start and the first pass over the table; the
wall time of the whole run is printed separately.
"""

from __future__ import annotations

import argparse
import tempfile
import time
import uuid
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from itertools import count
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch
from report import ROUNDS, interleave, print_table, ratio

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
from viral.tables.bucketed import log2_buckets_for
from viral.tables.schemas import LABELS

SET = FeatureSet.named("full", weights="random")
STREAMS = streams_of(SET)
ROWS = 4096  # per write; bounds memory
VALIDATION = 0.05  # enough for a validation pass, little beside the training
PLAIN = "plain loop, 1 thread"
ONE, HALVES, TWICE = "viral, one worker", "viral, two workers, half a batch each", "viral, two workers, a batch each"


def fill(store: Store, posts: int) -> None:
    """Write a feature table and a label table of `posts` posts."""
    rng, features = np.random.default_rng(0), features_table(store, SET)
    labels = replaced.begin(store, "labels/bench", LABELS, "made")
    for first in range(0, posts, ROWS):
        size = min(ROWS, posts - first)
        ids = [f"post{number:08}" for number in range(first, first + size)]
        values = {stream.name: rng.normal(size=(size, stream.dim)).astype(np.float32) for stream in STREAMS}
        columns = {name: pa.array(list(vectors), pa.list_(pa.float32())) for name, vectors in values.items()}
        rows = {"post_id": ids, "attempt": [1] * size, "status": ["ok"] * size, **columns}
        rows |= {"finished_at": [datetime.now(UTC)] * size, "feature_set": [SET.name] * size}
        rows["code_version"] = ["bench"] * size
        features.append(_table(rows, features.schema, size), log2_buckets_for(posts))
        target = values["caption"][:, 0] + values["r2plus1d"][:, 0]
        split = np.where(rng.random(size) < VALIDATION, "validation", "train").tolist()
        label_rows = {"post_id": ids, "split": split, "target": target.astype(float), "is_viral": target > 1.5}
        labels.append(_table(label_rows, LABELS, size), log2_buckets_for(posts))
    metadata = {"name": "bench", "spec": {"definition": "log_views"}, "split": {"kind": "random"}}
    replaced.commit(store, "labels/bench", "made", metadata)


def _table(columns: dict[str, object], schema: pa.Schema, rows: int) -> pa.Table:
    arrays = [
        pa.array(columns[field.name], field.type) if field.name in columns else pa.nulls(rows, field.type)
        for field in schema
    ]
    return pa.Table.from_arrays(arrays, schema=schema)


def plain(rows: int, architecture: str, config: TrainConfig, threads: int) -> float:
    """Samples per second of a plain loop: all tensors in memory, the same network, loss and optimiser."""
    torch.manual_seed(0)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    vectors = {stream.name: torch.randn(rows, stream.dim) for stream in STREAMS}
    present = torch.ones(rows, len(STREAMS), dtype=torch.bool)
    targets = {"target": torch.randn(rows), "is_viral": (torch.rand(rows) > 0.9).float()}
    targets |= {name: torch.full((rows,), float("nan")) for name in RATES}
    model = network(FusionConfig(STREAMS, architecture))
    optimiser = torch.optim.AdamW(model.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay)
    size, start = config.worker_batch_size(rows, 1), time.perf_counter()
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, -(-rows // size) * config.epochs)
    for _ in range(config.epochs):
        order = torch.randperm(rows)
        for first in range(0, rows, size):
            index = order[first : first + size]
            optimiser.zero_grad()
            output = model({name: values[index] for name, values in vectors.items()}, present[index])
            fusion_loss(output, {name: values[index] for name, values in targets.items()}).backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimiser.step()
            schedule.step()
    seconds = time.perf_counter() - start
    torch.set_num_threads(before)
    return rows * config.epochs / seconds


def ours(store: Store, architecture: str, config: TrainConfig, workers: int) -> tuple[float, float]:
    """Samples per second of the epochs, and wall seconds of the whole run."""
    start = time.perf_counter()
    spec = TrainSpec(f"bench-{uuid.uuid4().hex[:6]}", SET, "bench", workers=workers, architecture=architecture)
    output = train_network.run(store, spec, config)
    return output.samples_per_second, time.perf_counter() - start


def measure(
    store: Store, rows: int, architecture: str, config: TrainConfig, seeds: Iterator[int]
) -> Iterator[tuple[str, float]]:
    """Measure each side once, with the next seed."""
    size, seed = config.worker_batch_size(rows, 1), next(seeds)
    for side, threads in ((PLAIN, 1), ("plain loop, 2 threads", 2)):
        yield side, plain(rows, architecture, config, threads)
    for side, workers, batch_size in ((ONE, 1, size), (HALVES, 2, size), (TWICE, 2, 2 * size)):
        speed, wall = ours(store, architecture, replace(config, seed=seed, batch_size=batch_size), workers)
        yield side, speed
        yield f"{side}: wall seconds of the run", wall


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--posts", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--batch-size", type=int, default=512)
    parser.add_argument("--architecture", default="gated")
    args = parser.parse_args()
    config = TrainConfig(epochs=args.epochs, batch_size=args.batch_size, patience=args.epochs, precision="float32")
    with tempfile.TemporaryDirectory() as folder:
        store = Store.open(Path(folder))
        fill(store, args.posts)
        rows = round(args.posts * (1 - VALIDATION))
        with session():
            samples = interleave(partial(measure, store, rows, args.architecture, config, count()), args.rounds)
    print_table(samples, digits=1)
    print(f"one worker to a plain loop: {ratio(samples[ONE], samples[PLAIN])}")
    for side in (HALVES, TWICE):
        print(f"{side}, to one worker: {ratio(samples[side], samples[ONE])}")


if __name__ == "__main__":
    main()
