"""Train a network on features and labels, by Ray Train on any number of workers."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import click
import pyarrow as pa

import viral
from jobs.runtime.buckets import bucket_dataset
from jobs.runtime.options import feature_set_options
from jobs.runtime.session import check_resources, has_gpus, session
from jobs.training.calibrate import calibrate
from jobs.training.external_features import features_option, set_or_features
from jobs.training.labelled import labelled_features, statistics_of
from jobs.training.model_card import model_card, sources_of
from jobs.training.options import Workers, min_workers, tracking_options, train_options, workers_option
from jobs.training.search import search
from jobs.training.specs import TrainSpec
from jobs.training.state import final_checkpoint, run_config
from viral.console.options import ray_options, root_options
from viral.console.output import print_summary
from viral.datasets.labelled_features import LabelledFeatures, Statistics
from viral.errors import ConfigError
from viral.models.networks import FUSIONS, check_architecture
from viral.models.start import check_start, config_of, scaling_of
from viral.models.train_config import Scaling, TrainConfig
from viral.registry.registry import Registry
from viral.storage.store import Store
from viral.tables.places import check_name
from viral.tables.run_log import record_run
from viral.tracking.curves import Tracking

if TYPE_CHECKING:
    from ray.data import Dataset
    from ray.train import Result

    from jobs.training.network_worker import NetworkTask

READ_CPUS = 0.05  # reading a bucket mostly waits for storage, and has to fit beside the workers of a full machine
WORKER_CPUS = 0.9  # leaves a tenth of each core to the reading tasks
FUSION = "fusion"
NO_TRACKING = Tracking()


@dataclass
class TrainSummary:
    """The saved model, and facts of its training."""

    model: str
    rows: int
    epochs: int
    best_epoch: int
    validation_loss: float
    data_hash: str
    resumed_at_epoch: int
    samples_per_second: float


def run(
    store: Store,
    spec: TrainSpec,
    config: TrainConfig,
    *,
    tracking: Tracking = NO_TRACKING,
    trials: int = 0,
    address: str | None = None,
    debug: bool = False,
) -> TrainSummary:
    """Train and save. After a kill, the same call on the same data resumes from the newest checkpoint.

    Args:
        store: the root.
        spec: the model.
        config: training settings.
        tracking: where to log the curves besides the model's folder.
        trials: trials of a hyperparameter search before training; 0: train with `config`.
        address: of the Ray cluster; None: this machine.
        debug: show Ray's own output.

    Raises:
        TableError: features or labels are missing, or too few posts have both.
        ConfigError: more workers than this machine has cores for.
    """
    check_name(spec.name)
    tracking.check()
    if spec.start:
        check_start(spec.start, spec.feature_set, spec.streams, spec.architecture)
    data, label = labelled_features(
        store, spec.feature_set, spec.label, spec.streams, author_fraction=spec.author_fraction
    )
    with session(address, debug=debug):
        check_resources(min_workers(spec.workers), WORKER_CPUS)
        statistics = statistics_of(data)
        task = _task(spec, config, data, statistics)
        search_prefix = f"runs/{spec.name}-search-{trials}-{_identity(spec, task, statistics)}"
        tuned = search(store, task, data, _dataset, trials, search_prefix) if trials else None
        task = tuned.best_task(task) if tuned else task
        run_prefix = f"runs/{spec.name}-{_identity(spec, task, statistics)}"
        result = _fit(store, spec, task, data, run_prefix)
        state = final_checkpoint(result)
        card = model_card(spec, task, statistics, label, sources_of(store), state["state"])
        card |= {"search": asdict(tuned)} if tuned else {}
        version = Registry(store).save(spec.name, card, _weights(state))
        calibrate(store, Registry(store).load(f"{spec.name}/{version}"))
    for prefix in (run_prefix, search_prefix):
        store.delete_below(prefix)
    tracking.log(store, spec.name, version, card)
    return TrainSummary(
        model=f"{spec.name}/{version}",
        rows=statistics.rows,
        epochs=card["epochs"],
        best_epoch=card["best_epoch"],
        validation_loss=card["losses"][card["best_epoch"] - 1][1],
        data_hash=statistics.data_hash,
        resumed_at_epoch=int(result.return_value),
        samples_per_second=statistics.rows * card["epochs"] / state["state"]["seconds"],
    )


def _task(spec: TrainSpec, config: TrainConfig, data: LabelledFeatures, statistics: Statistics) -> NetworkTask:
    from jobs.training.network_worker import NetworkTask
    from viral.models.fusion_config import FusionConfig, check_gates

    used = tuple(stream for stream in data.streams if stream.name in statistics.moments)
    moments = {stream.name: statistics.moments[stream.name] for stream in used}
    target = statistics.moments["target"]
    model = FusionConfig(streams=used, architecture=spec.architecture, gates=spec.gates)
    check_architecture(model.architecture)
    check_gates(model)  # before the run writes anything
    return NetworkTask(
        model=config_of(spec.start) if spec.start else model,
        train=config.resolve_viral_weight(float(statistics.moments["is_viral"].mean[0])),
        scaling=scaling_of(spec.start) if spec.start else Scaling(float(target.mean[0]), float(target.scale[0])),
        means={name: stream.mean.tolist() for name, stream in moments.items()},
        scales={name: stream.scale.tolist() for name, stream in moments.items()},
        rows=statistics.rows,
        continued_from=str(spec.start) if spec.start else None,
    )


def _fit(store: Store, spec: TrainSpec, task: NetworkTask, data: LabelledFeatures, prefix: str) -> Result:
    from ray.data import ExecutionOptions
    from ray.train import DataConfig, ScalingConfig
    from ray.train.torch import TorchTrainer

    from jobs.training.network_worker import run as worker

    trainer = TorchTrainer(
        worker,
        train_loop_config={"task": task, "start": spec.start.weights if spec.start else None},
        datasets={split: _dataset(data, split) for split in ("train", "validation")},
        # Every worker validates on all posts; preserved order makes the same seed give the same model.
        dataset_config=DataConfig(["train"], execution_options=ExecutionOptions(preserve_order=True)),
        scaling_config=ScalingConfig(
            num_workers=spec.workers,
            use_gpu=has_gpus(min_workers(spec.workers)),
            resources_per_worker={"CPU": WORKER_CPUS},
        ),
        run_config=run_config(store, prefix),
    )
    return trainer.fit()


def _dataset(data: LabelledFeatures, split: str) -> Dataset:
    log2_buckets = data.log2_buckets()
    read = partial(_read, data, log2_buckets, split)
    return bucket_dataset(log2_buckets).map_batches(read, batch_size=1, batch_format="pyarrow", num_cpus=READ_CPUS)


def _read(data: LabelledFeatures, log2_buckets: int, split: str, batch: pa.Table) -> Iterator[pa.Table]:
    for bucket in batch["bucket"].to_pylist():
        yield data.read(log2_buckets, bucket, (split,))


def _identity(spec: TrainSpec, task: NetworkTask, statistics: Statistics) -> str:
    """Hash of data and settings, which names the run: a restarted command finds its checkpoints."""
    plain = [asdict(task), spec.workers, spec.feature_set.fingerprint, statistics.data_hash, viral.__version__]
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()[:12]


def _weights(state: dict[str, Any]) -> bytes:
    """Weights of the best epoch, as safetensors."""
    from safetensors.torch import save

    weights: bytes = save({name: tensor.contiguous() for name, tensor in state["state"]["best"].items()})
    return weights


@click.command()
@feature_set_options
@features_option
@click.option("--label", default="log_views", show_default=True, help="Label table to learn.")
@click.option("--name", help="Name of the saved model; by default MODEL.")
@click.option("--architecture", default="gated", show_default=True, type=click.Choice(FUSIONS))
@workers_option
@click.option("--gate", "gates", multiple=True, metavar="EXTRACTOR=WEIGHT", help="Fix the weights instead of learning.")
@train_options
@tracking_options
@click.option(
    "--tune", "trials", default=0, type=click.IntRange(0), help="Trials of a hyperparameter search to run first."
)
@ray_options
@root_options
def command(
    feature_set: str,
    weights: str | None,
    features: str | None,
    label: str,
    name: str | None,
    architecture: str,
    workers: Workers,
    gates: tuple[str, ...],
    config: TrainConfig,
    tracking: Tracking,
    trials: int,
    root: str,
    address: str | None,
    as_json: bool,
    debug: bool,
) -> None:
    """Train on a feature table and a label table. After a kill the same command resumes.

    fusion uses all modalities of the feature set; text, audio, image, editing or metadata uses one.
    """
    kind = str(click.get_current_context().info_name)
    modality = None if kind == FUSION else kind
    store = Store.open(root)
    inputs = set_or_features(store, feature_set, weights, features)
    spec = TrainSpec(name or kind, inputs, label, workers, _gates(gates), modality, architecture=architecture)
    work = partial(run, store, spec, config, tracking=tracking, trials=trials, address=address, debug=debug)
    print_summary(record_run(store, "train", lambda _: work()), as_json=as_json)


def _gates(pairs: Sequence[str]) -> dict[str, float] | None:
    try:
        return {name: float(weight) for name, weight in (pair.split("=") for pair in pairs)} or None
    except ValueError as error:
        raise ConfigError("--gate takes EXTRACTOR=WEIGHT, as in --gate caption=0.5") from error
