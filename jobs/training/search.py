"""`viral train … --tune N`: hyperparameter search by Ray Tune, before the model itself is trained.

A trial trains in one process, on posts that all trials of a node share in the object store: a sample, if the table is
large. A `TorchTrainer` per trial would spend more seconds on starting a controller and workers than on training. The
best settings are then trained on all posts by the usual workers. The search is random: successive halving of parallel
trials depends on which trial reports first, so the same seed would give different models.
"""

from __future__ import annotations

import io
import json
import os
import zlib
from collections.abc import Callable, Mapping
from contextlib import redirect_stdout
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from jobs.training.network_worker import NetworkTask, epoch
from jobs.training.shard import Shard
from jobs.training.state import Progress
from viral.datasets.labelled_features import LabelledFeatures
from viral.errors import TableError
from viral.storage.store import Store, read_json

if TYPE_CHECKING:
    from ray.data import Dataset

MAX_BYTES = 256 << 20  # 256 MiB of posts in the object store, shared by all trials: a quarter of a local store
SHAPE = ("width", "dropout", "modality_dropout")  # searched fields of FusionConfig
RATES = ("learning_rate", "weight_decay")  # searched fields of TrainConfig


def space() -> dict[str, Any]:
    """Return the search space around the default settings: rates log-uniform, the rest uniform."""
    from ray import tune

    return {
        "learning_rate": tune.loguniform(3e-4, 1e-2),
        "weight_decay": tune.loguniform(1e-3, 0.5),
        "width": tune.choice([16, 32, 64, 128]),
        "dropout": tune.uniform(0.0, 0.6),
        "modality_dropout": tune.uniform(0.0, 0.5),
    }


@dataclass(frozen=True)
class SearchResult:
    """Trials, best first, with their settings and metrics, and the number of posts that each was trained on."""

    trials: list[dict[str, Any]]
    rows: int


def with_settings(task: NetworkTask, settings: Mapping[str, Any]) -> NetworkTask:
    """Return `task` with settings drawn from `space`."""
    shape = {name: settings[name] for name in SHAPE}
    rates = {name: settings[name] for name in RATES}
    return replace(task, model=replace(task.model, **shape), train=replace(task.train, **rates))


def search(
    store: Store,
    task: NetworkTask,
    data: LabelledFeatures,
    dataset: Callable[[LabelledFeatures, str], Dataset],
    trials: int,
    prefix: str,
) -> SearchResult:
    """Run `trials` trials, the first with the settings of `task`; store them below `prefix` for a restarted command."""
    # A command that is run again goes on with the training: its trials are over.
    stored = read_json(store, f"{prefix}/trials.json")
    if stored is not None:
        return SearchResult(**stored)
    row_bytes = 4 * sum(stream.dim for stream in task.model.streams)  # float32
    fraction = min(1.0, MAX_BYTES / (row_bytes * max(1, task.rows)))
    splits = {split: _gather(dataset(data, split), fraction) for split in ("train", "validation")}
    result = SearchResult(_run_trials(store, task, splits, trials, prefix), splits["train"].num_rows)
    store.write(f"{prefix}/trials.json", json.dumps(asdict(result)).encode())
    return result


def _gather(rows: Dataset, fraction: float) -> pa.Table:
    """Collect a fraction of the rows, chosen by a hash of the post. Raises TableError if there are none."""
    batches = []
    for batch in rows.iter_batches(batch_size=4096, batch_format="pyarrow"):
        ids = batch["post_id"].to_pylist()
        # By the hash of the post: every trial of a repeated command sees the same posts.
        mask = [fraction >= 1 or zlib.crc32(f"tune {post}".encode()) < fraction * 2**32 for post in ids]
        batches.append(batch.filter(pa.array(mask, pa.bool_())))
    if not sum(map(len, batches)):
        raise TableError("no post of the training or the validation split has features: there is nothing to tune on")
    return pa.concat_tables(batches)


def _run_trials(
    store: Store, task: NetworkTask, splits: Mapping[str, pa.Table], trials: int, prefix: str
) -> list[dict[str, Any]]:
    os.environ.setdefault("TUNE_DISABLE_AUTO_CALLBACK_LOGGERS", "1")  # the model card stores the trials
    # At Ctrl-C, Tune's own handler would stop the search but let the command continue.
    os.environ.setdefault("TUNE_DISABLE_SIGINT_HANDLER", "1")
    from ray import tune
    from ray.tune.search.basic_variant import BasicVariantGenerator

    # The default settings are the first trial: on the validation split, the search does not end worse than without it.
    first = {name: getattr(task.model if name in SHAPE else task.train, name) for name in space()}
    folder, _, name = prefix.rpartition("/")
    tuner = tune.Tuner(
        # `with_parameters` puts the posts into the object store once; each trial takes a core.
        tune.with_resources(tune.with_parameters(trial, task=task, splits=dict(splits)), {"CPU": 1}),
        param_space=space(),
        tune_config=tune.TuneConfig(
            num_samples=trials,
            search_alg=BasicVariantGenerator(points_to_evaluate=[first], random_state=task.train.seed),
        ),
        run_config=tune.RunConfig(
            name=name, storage_path=store.path(folder), storage_filesystem=store.filesystem, verbose=0
        ),
    )
    with redirect_stdout(io.StringIO()):  # stdout is for the summary; Tune prints even with verbose=0
        results = tuner.fit()
    # Tune goes on after a failed trial; here, one failure is a bug, and fails the command.
    for result in results:
        if result.error:
            raise result.error
    reported = ("validation_loss", "best_epoch", "epochs")
    rows = [{**result.config, **{key: result.metrics[key] for key in reported}} for result in results]
    return sorted(rows, key=lambda row: float(row["validation_loss"]))


def trial(settings: dict[str, Any], *, task: NetworkTask, splits: Mapping[str, pa.Table]) -> None:
    """Tune's trainable: train with `settings` and report the metrics."""
    from ray import tune

    tune.report(train_trial(with_settings(task, settings), splits))


def train_trial(task: NetworkTask, splits: Mapping[str, pa.Table]) -> dict[str, Any]:
    """Train in this process; return the best epoch, its validation loss, and the number of epochs."""
    import torch

    from viral.models.fusion import set_statistics
    from viral.models.networks import network
    from viral.models.training import Learner, to_tensors

    # The same seed in each trial: they differ by their settings alone.
    torch.manual_seed(task.train.seed)
    model = network(task.model)
    set_statistics(model, task.means, task.scales, task.edges)
    rows = splits["train"].num_rows
    size = task.train.worker_batch_size(rows, 1)
    learner = Learner(model, task.train, -(-rows // size) * task.train.epochs)
    tensors = partial(to_tensors, task.model.streams, scaling=task.scaling, device=learner.device)
    shard, validation = (Shard(tensors(splits[split]), iter) for split in ("train", "validation"))
    state = Progress()
    while not state.finished(task.train):
        epoch(learner, model, shard, validation, size, state)
    best_loss = state.losses[state.best_epoch - 1][1]
    return {"validation_loss": best_loss, "best_epoch": state.best_epoch, "epochs": state.epoch}
