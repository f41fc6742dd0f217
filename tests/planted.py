"""Synthetic posts drawn from known effects, and a model trained and calibrated on some of them."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch
from safetensors.torch import save

from viral.datasets.streams import Batch, Stream, streams_of
from viral.extractors.feature_set import FeatureSet
from viral.models.fusion import Fusion
from viral.models.fusion_config import FusionConfig
from viral.models.train_config import Scaling, TrainConfig
from viral.models.training import Learner, TensorBatch
from viral.registry.registry import Registry
from viral.scoring.calibration import fit
from viral.scoring.conformal import LEVEL
from viral.scoring.reference import REFERENCE_COLUMNS, Reference
from viral.scoring.scorer import CALIBRATION, Scorer
from viral.storage.store import Store

SET = FeatureSet.from_dict({"name": "planted", "extractors": ["metadata", "caption", "acoustics", "craft"]})
STREAMS = streams_of(SET)
EFFECTS = {"editing": 1.5, "text": 0.8, "metadata": 0.3, "audio": 0.0}
"""Effect of each modality on the target, per standard deviation of its trait."""
MEAN, NOISE, TOP, TRAIN, VALIDATION = 10.0, 1.0, 0.25, 6000, 2000
BEGAN = datetime(2025, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Posts:
    """N posts: inputs of the model, `traits` (N,) by modality (NaN where it is absent), and targets."""

    batch: Batch
    traits: dict[str, npt.NDArray[np.float64]]
    y: npt.NDArray[np.float64]


@dataclass(frozen=True)
class World:
    """A root with a model, its scorer, and the threshold of viral posts."""

    store: Store
    scorer: Scorer
    bar: float


def posts(count: int, seed: int, *, absent: float = 0.1) -> Posts:
    """Draw posts: the first number of each vector is the trait, the others are noise in ten directions."""
    rng = np.random.default_rng(seed)
    y, vectors, traits = np.full(count, MEAN), {}, {}
    present = rng.random((count, len(STREAMS))) >= absent
    present[~present.any(axis=1)] = True
    for index, stream in enumerate(STREAMS):
        kinds = np.random.default_rng(index).normal(size=(min(10, stream.dim - 1), stream.dim - 1))
        own = rng.normal(size=(count, len(kinds))) @ kinds + 0.3 * rng.normal(size=(count, stream.dim - 1))
        trait = rng.normal(size=count)
        vectors[stream.name] = np.where(present[:, index, None], np.column_stack([trait, own]), 0).astype(np.float32)
        traits[stream.modality] = np.where(present[:, index], trait, np.nan)
        y += EFFECTS[stream.modality] * np.nan_to_num(traits[stream.modality])
    return Posts(Batch(vectors, present), traits, y + NOISE * rng.normal(size=count))


def outliers(count: int, seed: int, stream: Stream) -> Batch:
    """Draw posts that are like the others except in one stream, whose noise has other directions."""
    novel = posts(count, seed, absent=0.0).batch
    rng = np.random.default_rng(seed)
    kinds = rng.normal(size=(10, stream.dim))
    novel.vectors[stream.name][:] = 2.5 * rng.normal(size=(count, 10)) @ kinds
    return novel


def make(store: Store) -> None:
    """Train a fusion network as a worker does and calibrate it as the job does, in a few seconds."""
    train, validation = posts(TRAIN, 1), posts(VALIDATION, 2)
    bar = _bar(train)
    scaling = Scaling(float(train.y.mean()), float(train.y.std()))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # at this size a second one only waits for the first
    network = _trained(train, bar, scaling)
    torch.set_num_threads(threads)
    card = {
        "kind": "network",
        "config": asdict(network[1]),
        "target": asdict(scaling),
        "feature_set": SET.to_dict(),
        "label": {"name": "log_views", "spec": {"definition": "log_views"}},
    }
    registry = Registry(store)
    version = registry.save("planted", json.loads(json.dumps(card)), network[0])
    raw = Scorer(registry.load(f"planted/{version}"), raw=True)
    predictions = raw.predict(validation.batch)
    low, high = np.quantile(train.y, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    calibration = fit(
        predictions.probability,
        predictions.quantiles,
        validation.y,
        validation.y > bar,
        np.arange(VALIDATION) // 10,
        base_rate=TOP,
        spread=(float(low), float(high)),
    )
    Reference.fit(STREAMS, train.batch, rows(train, bar), validation.batch).save(store, raw.saved.prefix)
    store.write(registry.key("planted", version, CALIBRATION), json.dumps(calibration.to_dict()).encode())


def load(store: Store) -> World:
    """Load what `make` made."""
    return World(store, Scorer.load(store, "planted"), _bar(posts(TRAIN, 1)))


def _bar(train: Posts) -> float:
    return float(np.quantile(train.y, 1 - TOP))


def rows(drawn: Posts, bar: float) -> pa.Table:
    """Columns of the reference posts: ten posts per author, one per hour."""
    count = len(drawn.y)
    columns: dict[str, Any] = {
        "post_id": [f"post {number}" for number in range(count)],
        "author_id": [f"author {number // 10}" for number in range(count)],
        "posted_at": pa.array([BEGAN + timedelta(hours=n) for n in range(count)], pa.timestamp("us", tz="UTC")),
        "target": drawn.y,
        "is_viral": drawn.y > bar,
    }
    return pa.table(columns).select(list(REFERENCE_COLUMNS))


def _trained(train: Posts, bar: float, scaling: Scaling) -> tuple[bytes, FusionConfig]:
    shape, config = FusionConfig(STREAMS, dropout=0.1), TrainConfig(epochs=15, learning_rate=0.01)
    torch.manual_seed(0)
    learner = Learner(Fusion(shape), config, 15 * (TRAIN // 500))
    nothing = torch.full((TRAIN,), torch.nan)
    tensors = TensorBatch(
        {name: torch.from_numpy(array) for name, array in train.batch.vectors.items()},
        torch.from_numpy(train.batch.present),
        {
            "target": torch.from_numpy(((train.y - scaling.mean) / scaling.scale).astype(np.float32)),
            "is_viral": torch.from_numpy((train.y > bar).astype(np.float32)),
            **dict.fromkeys(("likes_rate", "comments_rate", "shares_rate"), nothing),
        },
    )
    for _ in range(config.epochs):
        order = torch.randperm(TRAIN).split(500)
        learner.train([tensors.take(batch) for batch in order])
    return save({name: tensor.contiguous() for name, tensor in learner.model.state_dict().items()}), shape
