"""Train an ensemble of classical models on features and labels, one Ray task per member."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import click

from jobs.runtime.buckets import map_buckets
from jobs.runtime.options import feature_set_options
from jobs.runtime.session import check_resources, connect, session
from jobs.training import ensemble_distributed, ensemble_member
from jobs.training.calibrate import calibrate
from jobs.training.ensemble_card import ensemble_card, member_lines
from jobs.training.ensemble_member import MemberTask, TrainedMember
from jobs.training.external_features import features_option, set_or_features
from jobs.training.labelled import labelled_features, statistics_of
from jobs.training.options import parse_weights
from jobs.training.specs import numeric_streams
from viral.console.commands import execute
from viral.console.options import ray_options, root_options
from viral.console.output import print_summary, progress_bar
from viral.datasets.dates import without_dates
from viral.datasets.labelled_features import LabelledFeatures, Statistics
from viral.datasets.streams import streams_of
from viral.errors import ConfigError, TableError
from viral.extractors.feature_set import FeatureSet
from viral.models.ensemble.member import MEMBERS, member_class
from viral.models.ensemble.predictor import to_bytes
from viral.models.ensemble.rows import Layout
from viral.models.ensemble.usable import usable_members
from viral.models.mixing import learn_weights, normalise_weights
from viral.models.train_config import Scaling
from viral.registry.registry import Registry
from viral.storage.store import Store
from viral.tables.places import check_name
from viral.tables.run_log import record_run

MIN_ROWS_PER_WORKER = 100  # a single core trains on fewer in seconds
MIN_VALIDATION_ROWS = 4  # on fewer posts, models cannot be compared


@dataclass
class EnsembleSummary:
    """The saved ensemble, with weights and validation metrics of each member."""

    model: str
    rows: int
    validation_rows: int
    data_hash: str
    members: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class EnsembleSpec:
    """Settings of an ensemble.

    Attributes:
        weights: fixed weights by member; None: learn them.
        workers: number of workers that each tree model is trained on.
        author_fraction: fraction of the training split's authors to train on.
    """

    name: str
    feature_set: FeatureSet
    label: str
    members: tuple[str, ...] = tuple(MEMBERS)
    weights: Mapping[str, float] | None = None
    seed: int = 0
    workers: int = 1
    author_fraction: float = 1.0

    def check(self) -> None:
        """Raise ConfigError if name, members, weights or inputs are invalid."""
        check_name(self.name)
        numeric_streams(self.feature_set)
        if not self.members:
            raise ConfigError(f"an ensemble needs a member: choose from {', '.join(MEMBERS)}")
        for name in self.members:
            member_class(name)
        if self.weights is not None:
            normalise_weights(self.members, self.weights)


def run(store: Store, spec: EnsembleSpec, *, address: str | None = None, debug: bool = False) -> EnsembleSummary:
    """Train and save. After a kill, the same call starts over: a member takes only minutes.

    Raises:
        TableError: features or labels are missing, too few posts have both, or all or none of them are viral.
        ConfigError: an invalid member or weight.
    """
    spec.check()
    streams = streams_of(spec.feature_set)
    data, label = labelled_features(store, spec.feature_set, spec.label, streams, author_fraction=spec.author_fraction)
    with session(address, store, debug=debug):
        statistics = without_dates(statistics_of(data), spec.feature_set)
        count = validation_rows(data, spec.label)
        task = _task(spec, data, statistics, count)
        members = _members(spec, task)
        trained = _train_members(store, task, members)
        if spec.weights is not None:
            weights = normalise_weights(members, spec.weights)
        else:
            weights = learn_weights([member.predictions for member in trained], trained[0].viral, trained[0].score)
        card = ensemble_card(spec.feature_set, label, task, statistics, trained, weights, store)
        arrays = {member.name: member.tensors for member in trained}
        version = Registry(store).save(spec.name, card, to_bytes(task.layout, arrays))
        calibrate(store, Registry(store).load(f"{spec.name}/{version}"))
    return EnsembleSummary(
        model=f"{spec.name}/{version}",
        rows=statistics.rows,
        validation_rows=task.validation_rows,
        data_hash=statistics.data_hash,
        members=member_lines(card, trained, weights),
        notes=card["notes"],
    )


def _members(spec: EnsembleSpec, task: MemberTask) -> tuple[str, ...]:
    """Return the members to train; of the default ones those that can learn from the inputs.

    Raises ConfigError if one that was asked for cannot.
    """
    usable = usable_members(task.layout.streams)
    unusable = [name for name in spec.members if name not in usable]
    asked = spec.members != tuple(MEMBERS) or any(name in (spec.weights or ()) for name in unusable)
    if unusable and asked:
        extractor = "ngrams" if unusable[0] == "ngrams" else "metadata"
        raise ConfigError(
            f"{unusable[0]} learns from the extractor {extractor}, which no training post has in the feature set "
            f"{spec.feature_set.name}: backfill a set with it, or leave the member out"
        )
    return tuple(name for name in spec.members if name in usable)


def _task(spec: EnsembleSpec, data: LabelledFeatures, statistics: Statistics, validation_rows: int) -> MemberTask:
    """Build the task that all members share, as yet without the name of a member."""
    # Streams without any training vector have no mean and no scale: the ensemble is built without them.
    used = tuple(stream for stream in data.streams if stream.name in statistics.moments)
    target = statistics.moments["target"]
    return MemberTask(
        name="",
        data=replace(data, streams=used),
        log2_buckets=_log2_buckets(data, spec, statistics.rows),
        layout=Layout.from_moments(used, statistics.moments),
        scaling=Scaling(float(target.mean[0]), float(target.scale[0])),
        rows=statistics.rows,
        validation_rows=validation_rows,
        seed=spec.seed,
        workers=spec.workers,
    )


def _log2_buckets(data: LabelledFeatures, spec: EnsembleSpec, rows: int) -> int:
    """Choose the number of buckets to read, as an exponent of 2: at least 4 per worker, to balance the shards.

    Raises ConfigError if there are too few posts or cores for the number of workers.
    """
    if spec.workers == 1:
        return data.log2_buckets()
    if rows < MIN_ROWS_PER_WORKER * spec.workers:
        raise ConfigError(
            f"{rows} training posts are too few for {spec.workers} workers to grow trees together: "
            f"each needs at least {MIN_ROWS_PER_WORKER}, so lower --workers"
        )
    check_resources(spec.workers, ensemble_distributed.CPUS)
    # Buckets differ in size by chance; with four or more per worker, the shards come out nearly equal.
    return max(data.log2_buckets(), (4 * spec.workers - 1).bit_length())


def validation_rows(data: LabelledFeatures, label: str) -> int:
    """Count the validation posts that have features. Raises TableError if they are too few to learn weights from."""
    log2_buckets = data.log2_buckets()
    count = sum(
        map_buckets(lambda bucket: int(data.read(log2_buckets, bucket, ("validation",)).num_rows), log2_buckets)
    )
    if count < MIN_VALIDATION_ROWS:
        raise TableError(
            f"{count} posts of the validation split of labels/{label} have features: at least {MIN_VALIDATION_ROWS} "
            "are needed to learn weights from; ingest and backfill more, or label with another --split"
        )
    return count


def _train_members(store: Store, task: MemberTask, members: Sequence[str]) -> list[TrainedMember]:
    """Train the members that use one task in parallel, one core each; then the distributed members, one by one."""
    import ray

    connect()
    tasks = [replace(task, name=name) for name in members]
    # One after another, since `check_resources` made sure of the cores for one of them.
    distributed = [member for member in tasks if task.workers > 1 and member_class(member.name).distributed]
    remote, progress = ray.remote(num_cpus=1)(ensemble_member.train), progress_bar("members", unit="member")
    running = [remote.remote(member) for member in tasks if member not in distributed]
    # Wait for whichever member ends next, for the progress; the results are read below, in the order of the members.
    left = running
    while left:
        _, left = ray.wait(left)
        progress(len(running) - len(left), len(tasks))
    trained: dict[str, TrainedMember] = {member.name: member for member in ray.get(running)}
    for member in distributed:
        trained[member.name] = ensemble_distributed.train(store, member)
        progress(len(trained), len(tasks))
    return [trained[name] for name in members]


@click.command()
@feature_set_options
@features_option
@click.option("--label", default="log_views", show_default=True, help="Label table to learn.")
@click.option("--name", default="ensemble", show_default=True, help="Name of the saved model.")
@click.option(
    "--member", "members", multiple=True, metavar="MEMBER", help=f"By default all: {', '.join(MEMBERS)}; repeatable."
)
@click.option(
    "--weight",
    "fixed_weights",
    multiple=True,
    metavar="MEMBER=WEIGHT",
    help="Fix the weights instead of learning them.",
)
@click.option(
    "--workers",
    default=1,
    show_default=True,
    type=click.IntRange(1),
    help="Workers that train each tree model; they talk unencrypted, so use a private network.",
)
@click.option("--seed", default=0, show_default=True)
@ray_options
@root_options
def command(
    feature_set: str,
    weights: str | None,
    features: str | None,
    label: str,
    name: str,
    members: tuple[str, ...],
    fixed_weights: tuple[str, ...],
    workers: int,
    seed: int,
    root: str,
    address: str | None,
    as_json: bool,
    debug: bool,
) -> None:
    """Train an ensemble of classical models: linear, also on words of captions, forest, boosted trees, SVM, k-NN.

    The settings of each member and, without --weight, the weights are chosen on the validation split. Large tables are
    sampled: svm and ngrams use up to 100,000 posts, logistic 200,000, knn 20,000, and trees 2,000,000 per worker.
    """
    member_names = tuple(dict.fromkeys(members)) or tuple(MEMBERS)
    fixed = parse_weights(fixed_weights, "--weight takes MEMBER=WEIGHT, as in --weight logistic=0.3")
    store = Store.open(root)
    inputs = set_or_features(store, feature_set, weights, features)
    spec = EnsembleSpec(name, inputs, label, member_names, fixed, seed, workers)
    print_summary(record_run(store, "train", lambda _: run(store, spec, address=address, debug=debug)), as_json=as_json)


if __name__ == "__main__":
    execute(command)
