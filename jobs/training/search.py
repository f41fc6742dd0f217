"""`viral train … --tune N`: a search for better settings by Ray Tune, before the model itself is trained.

A trial is one Tune function that trains with the very `Learner` of the workers, in one process, on posts that lie in
the object store once for all trials of a node. A `TorchTrainer` a trial would cost a controller and workers of its own,
and seconds to start them, for models that train in less; so of many posts a trial sees a sample, and the winner is then
trained on all by as many workers as were asked for. Plain random search: a halving of trials that run side by side
depends on which of them reports first, and then the same seed gives another model.
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

MAX_BYTES = 256 << 20  # of the posts that all trials share
SHAPE = ("width", "dropout", "modality_dropout")
RATES = ("learning_rate", "weight_decay")


def space() -> dict[str, Any]:
    """What is tried: the rates evenly in their logarithm, the rest evenly."""
    from ray import tune

    return {
        "learning_rate": tune.loguniform(3e-4, 1e-2),
        "weight_decay": tune.loguniform(1e-3, 0.5),
        "width": tune.choice([16, 32, 64, 128]),
        "dropout": tune.uniform(0.0, 0.6),
        "modality_dropout": tune.uniform(0.0, 0.5),
    }


@dataclass(frozen=True)
class Found:
    """The trials, best first, each with its settings, `validation_loss` and `best_epoch`; on so many posts each."""

    trials: list[dict[str, Any]]
    rows: int

    def winner(self, task: NetworkTask) -> NetworkTask:
        """`task` with the settings of the best trial."""
        return with_settings(task, self.trials[0])


def with_settings(task: NetworkTask, settings: Mapping[str, Any]) -> NetworkTask:
    """`task` with what `space` is about."""
    shape = {name: settings[name] for name in SHAPE}
    rates = {name: settings[name] for name in RATES}
    return replace(task, model=replace(task.model, **shape), train=replace(task.train, **rates))


def search(
    store: Store,
    task: NetworkTask,
    data: LabelledFeatures,
    dataset: Callable[[LabelledFeatures, str], Dataset],
    trials: int,
    place: str,
) -> Found:
    """Try so many settings, those of `task` first; the result is kept at `place`, where a killed command finds it."""
    known = read_json(store, f"{place}/trials.json")
    if known is not None:
        return Found(**known)
    share = min(1.0, MAX_BYTES / (_row_bytes(task) * max(1, task.rows)))
    splits = {split: _gather(dataset(data, split), share) for split in ("train", "validation")}
    found = Found(_tried(store, task, splits, trials, place), splits["train"].num_rows)
    store.write(f"{place}/trials.json", json.dumps(asdict(found)).encode())
    return found


def _row_bytes(task: NetworkTask) -> int:
    return 4 * sum(stream.dim for stream in task.model.streams)


def _gather(rows: Dataset, share: float) -> pa.Table:
    """The rows, or a sample of that share, which a hash of the post decides. Raises TableError: there are none."""
    kept = []
    for batch in rows.iter_batches(batch_size=4096, batch_format="pyarrow"):
        ids = batch["post_id"].to_pylist()
        chosen = [share >= 1 or zlib.crc32(f"tune {post}".encode()) < share * 2**32 for post in ids]
        kept.append(batch.filter(pa.array(chosen, pa.bool_())))
    if not sum(map(len, kept)):
        raise TableError("no post of the split train or of validation has features: there is nothing to choose by")
    return pa.concat_tables(kept)


def _tried(
    store: Store, task: NetworkTask, splits: Mapping[str, pa.Table], trials: int, place: str
) -> list[dict[str, Any]]:
    os.environ.setdefault("TUNE_DISABLE_AUTO_CALLBACK_LOGGERS", "1")  # the card holds the trials
    os.environ.setdefault("TUNE_DISABLE_SIGINT_HANDLER", "1")  # it would end the search at Ctrl-C, and go on from there
    from ray import tune
    from ray.tune.search.basic_variant import BasicVariantGenerator

    first = {name: getattr(task.model if name in SHAPE else task.train, name) for name in space()}
    folder, _, name = place.rpartition("/")
    tuner = tune.Tuner(
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
    with redirect_stdout(io.StringIO()):  # where a summary is to stand alone; Tune prints whatever it is told
        results = tuner.fit()
    for result in results:
        if result.error:
            raise result.error
    rows = [{**result.config, **{key: result.metrics[key] for key in SAID}} for result in results]
    return sorted(rows, key=lambda row: float(row["validation_loss"]))


SAID = ("validation_loss", "best_epoch", "epochs")


def trial(settings: dict[str, Any], *, task: NetworkTask, splits: Mapping[str, pa.Table]) -> None:
    """Train once with these settings, and report the best epoch's validation loss."""
    from ray import tune

    tune.report(measured(with_settings(task, settings), splits))


def measured(task: NetworkTask, splits: Mapping[str, pa.Table]) -> dict[str, Any]:
    """The validation loss of a model that is trained in this process."""
    import torch

    from viral.models.fusion import set_statistics
    from viral.models.networks import network
    from viral.models.training import Learner, tensors_of

    torch.manual_seed(task.train.seed)
    model = network(task.model)
    set_statistics(model, task.means, task.scales)
    rows = splits["train"].num_rows
    size = task.train.batch(rows, 1)
    learner = Learner(model, task.train, -(-rows // size) * task.train.epochs)
    tensors = partial(tensors_of, task.model.streams, scaling=task.scaling, device=learner.device)
    shard, held = (Shard(tensors(splits[split]), iter) for split in ("train", "validation"))
    state = Progress()
    while not state.over(task.train):
        epoch(learner, model, shard, held, size, state)
    best = state.losses[state.best_epoch - 1][1]
    return {"validation_loss": best, "best_epoch": state.best_epoch, "epochs": state.epoch}
