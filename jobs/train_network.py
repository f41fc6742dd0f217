"""Train a network on features and labels with Ray Train, on any number of workers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import click
import pyarrow as pa

from jobs.runtime.buckets import bucket_dataset
from jobs.runtime.options import feature_set_options
from jobs.runtime.session import check_resources, session
from jobs.training import network_worker
from jobs.training.bin_edges import training_edges
from jobs.training.calibrate import calibrate
from jobs.training.external_features import features_option, set_or_features
from jobs.training.labelled import labelled_features, statistics_of
from jobs.training.model_card import model_card, sources_of
from jobs.training.network_worker import NetworkTask
from jobs.training.options import Workers, min_workers, parse_weights, tracking_options, train_options, workers_option
from jobs.training.search import search, with_settings
from jobs.training.specs import TrainSpec
from jobs.training.state import WORKER_CPUS, final_checkpoint, fit, run_identity
from viral.console.options import ray_options, root_options
from viral.console.output import print_summary
from viral.datasets.dates import without_dates
from viral.datasets.labelled_features import LabelledFeatures, Statistics
from viral.models.fusion_config import BINS, GATED, MEMBERS, FusionConfig, check_gates
from viral.models.networks import FUSIONS, check_architecture
from viral.models.start import check_start, saved_config, saved_scaling
from viral.models.train_config import Scaling, TrainConfig
from viral.registry.registry import Registry
from viral.storage.lock import exclusive
from viral.storage.store import Store
from viral.tables.places import check_name
from viral.tables.run_log import record_run
from viral.tracking.curves import Tracking

if TYPE_CHECKING:
    import torch
    from ray.data import Dataset
    from ray.train import Result

READ_CPUS = 0.05  # a reading task mostly waits for storage; two fit into the tenth of a core that a worker leaves
FUSION = "fusion"  # subcommand for all modalities; the others are named after their modality
NO_TRACKING = Tracking()


@dataclass
class TrainSummary:
    """The saved model, and results of its training."""

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

    With `trials`, a hyperparameter search of that many trials runs first. `tracking` says where else to log the curves.

    Raises:
        TableError: features or labels are missing, or too few posts have both.
        ConfigError: more workers than this machine has cores for.
    """
    check_name(spec.name)
    tracking.check()
    # Before any table is read: weights of other inputs cannot be loaded.
    if spec.start:
        check_start(spec.start, spec.feature_set, spec.streams, spec.architecture)
    fraction = spec.author_fraction
    data, label = labelled_features(store, spec.feature_set, spec.label, spec.streams, author_fraction=fraction)
    with session(address, store, debug=debug):
        # Before any work: with too few cores, Ray would wait for more of them forever.
        check_resources(min_workers(spec.workers), WORKER_CPUS)
        statistics = without_dates(statistics_of(data), spec.feature_set)
        task = _task(spec, config, data, statistics)
        # Another run on the same data would write to the same checkpoints.
        with exclusive(store, f"{spec.name}-{_identity(spec, task, statistics)}"):
            summary, card = _train(store, spec, task, data, statistics, label, trials)
    tracking.log(store, spec.name, int(summary.model.rpartition("/")[2]), card)
    return summary


def _train(
    store: Store,
    spec: TrainSpec,
    task: NetworkTask,
    data: LabelledFeatures,
    statistics: Statistics,
    label: dict[str, Any],
    trials: int,
) -> tuple[TrainSummary, dict[str, Any]]:
    """Search, train, save and calibrate; return the summary and the model card."""
    # Named by data and settings: a command that is run again finds the trials and checkpoints of the killed one.
    search_prefix = f"runs/{spec.name}-search-{trials}-{_identity(spec, task, statistics)}"
    # The trials are named without the drawn settings, the run with them: other settings need other checkpoints.
    tuned = search(store, task, data, _dataset, trials, search_prefix) if trials else None
    task = with_settings(task, tuned.trials[0]) if tuned else task
    run_prefix = f"runs/{spec.name}-{_identity(spec, task, statistics)}"
    result = _fit(store, spec, task, data, run_prefix)
    progress = final_checkpoint(result)["state"]
    card = model_card(spec, task, statistics, label, sources_of(store), progress)
    card |= {"search": asdict(tuned)} if tuned else {}
    version = Registry(store).save(spec.name, card, _best_weights(progress["best"]))
    calibrate(store, Registry(store).load(f"{spec.name}/{version}"))
    # Last, when the model is saved: a kill before this leaves what the next call needs.
    for prefix in (run_prefix, search_prefix):
        store.delete_below(prefix)
    summary = TrainSummary(
        model=f"{spec.name}/{version}",
        rows=statistics.rows,
        epochs=card["epochs"],
        best_epoch=card["best_epoch"],
        validation_loss=card["losses"][card["best_epoch"] - 1][1],
        data_hash=statistics.data_hash,
        resumed_at_epoch=int(result.return_value),
        samples_per_second=statistics.rows * card["epochs"] / progress["seconds"],
    )
    return summary, card


def _task(spec: TrainSpec, config: TrainConfig, data: LabelledFeatures, statistics: Statistics) -> NetworkTask:
    # Streams without any training vector have no mean and no scale: the model is built without them.
    used = tuple(stream for stream in data.streams if stream.name in statistics.moments)
    moments = {stream.name: statistics.moments[stream.name] for stream in used}
    target = statistics.moments["target"]
    model = FusionConfig(streams=used, architecture=spec.architecture, gates=spec.gates)
    if spec.architecture in GATED:
        model = replace(model, bins=BINS, members=MEMBERS)
    check_architecture(model.architecture)
    check_gates(model)  # before the run writes anything
    model = saved_config(spec.start) if spec.start else model
    return NetworkTask(
        model=model,
        train=config.resolve_viral_weight(float(statistics.moments["is_viral"].mean[0])),
        # A model that goes on from another keeps its units, for which its heads were trained.
        scaling=saved_scaling(spec.start) if spec.start else Scaling(float(target.mean[0]), float(target.scale[0])),
        means={name: stream.mean.tolist() for name, stream in moments.items()},
        scales={name: stream.scale.tolist() for name, stream in moments.items()},
        rows=statistics.rows,
        continued_from=str(spec.start) if spec.start else None,
        edges=training_edges(data, used, statistics, model.bins),
    )


def _fit(store: Store, spec: TrainSpec, task: NetworkTask, data: LabelledFeatures, prefix: str) -> Result:
    from ray.data import ExecutionOptions
    from ray.train import DataConfig

    config = {"task": task, "start": spec.start.weights if spec.start else None}
    datasets = {split: _dataset(data, split) for split in ("train", "validation")}
    # Every worker validates on all posts; preserved order makes the same seed give the same model.
    options = DataConfig(["train"], execution_options=ExecutionOptions(preserve_order=True))
    return fit(store, prefix, network_worker.run, spec.workers, config, datasets=datasets, dataset_config=options)


def _dataset(data: LabelledFeatures, split: str) -> Dataset:
    log2_buckets = data.log2_buckets()
    read = partial(_read, data, log2_buckets, split)
    return bucket_dataset(log2_buckets).map_batches(read, batch_size=1, batch_format="pyarrow", num_cpus=READ_CPUS)


def _read(data: LabelledFeatures, log2_buckets: int, split: str, batch: pa.Table) -> Iterator[pa.Table]:
    for bucket in batch["bucket"].to_pylist():
        yield data.read(log2_buckets, bucket, (split,))


def _identity(spec: TrainSpec, task: NetworkTask, statistics: Statistics) -> str:
    # Everything that changes the result, so that a checkpoint is never continued with other data or settings.
    return run_identity(asdict(task), spec.workers, spec.feature_set.fingerprint, statistics.data_hash)


def _best_weights(tensors: Mapping[str, torch.Tensor]) -> bytes:
    from safetensors.torch import save

    # safetensors stores only tensors that are contiguous in memory.
    return bytes(save({name: tensor.contiguous() for name, tensor in tensors.items()}))


@click.command()
@feature_set_options
@features_option
@click.option("--label", default="log_views", show_default=True, help="Label table to learn.")
@click.option("--name", help="Name of the saved model; by default MODEL, as in `viral train MODEL`.")
@click.option("--architecture", default="gated", show_default=True, type=click.Choice(FUSIONS))
@workers_option
@click.option("--gate", "gates", multiple=True, metavar="EXTRACTOR=WEIGHT", help="Fixed weights; by default learned.")
@train_options
@tracking_options
@click.option(
    "--tune", "trials", default=0, type=click.IntRange(0), help="Trials of a hyperparameter search before training."
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
    fixed = parse_weights(gates, "--gate takes EXTRACTOR=WEIGHT, as in --gate caption=0.5")
    spec = TrainSpec(name or kind, inputs, label, workers, fixed, modality, architecture=architecture)
    work = partial(run, store, spec, config, tracking=tracking, trials=trials, address=address, debug=debug)
    print_summary(record_run(store, "train", lambda _: work()), as_json=as_json)
