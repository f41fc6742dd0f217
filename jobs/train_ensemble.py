"""Features and labels → an ensemble of classical models, its members trained side by side as tasks of Ray."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import click

from jobs.runtime.buckets import over_buckets
from jobs.runtime.options import feature_set_options
from jobs.runtime.session import check_room, session
from jobs.training import ensemble_distributed, ensemble_member
from jobs.training.calibrate import calibrate
from jobs.training.ensemble_card import ensemble_card, lines
from jobs.training.ensemble_member import MemberTask, Trained
from jobs.training.external_features import features_option, set_or_features
from jobs.training.labelled import labelled_features, statistics_of
from viral.console.commands import execute
from viral.console.options import common, on_ray
from viral.console.output import bar, say
from viral.datasets.labelled_features import LabelledFeatures
from viral.datasets.streams import streams_of
from viral.errors import ConfigError, TableError
from viral.extractors.feature_set import FeatureSet
from viral.models.ensemble.member import MEMBERS, member_class
from viral.models.ensemble.predictor import to_bytes
from viral.models.ensemble.rows import Layout
from viral.models.mixing import Weights, given, learn
from viral.models.train_config import Scaling
from viral.registry.registry import Registry
from viral.storage.store import Store
from viral.tables.places import check_name
from viral.tables.run_log import recorded

ROWS_A_WORKER = 100
MIN_HELD = 4  # posts of the validation split: fewer say nothing of which model is better


@dataclass
class EnsembleSummary:
    """The ensemble that was saved: for each member its weights, and how good it is on the validation split alone."""

    model: str
    rows: int
    validation_rows: int
    data_hash: str
    members: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class EnsembleSpec:
    """What to train, of which members.

    `weights` of the members, if they are not to be learnt, are by name. `workers` grow the trees together. `share` is
    how many of the training split's authors it learns from.
    """

    name: str
    feature_set: FeatureSet
    label: str
    members: tuple[str, ...] = tuple(MEMBERS)
    weights: Mapping[str, float] | None = None
    seed: int = 0
    workers: int = 1
    share: float = 1.0

    def check(self) -> None:
        """Refuse what cannot be trained, before anything is begun. Raises ConfigError."""
        check_name(self.name)
        if not self.members:
            raise ConfigError(f"an ensemble needs a member: choose from {', '.join(MEMBERS)}")
        for name in self.members:
            member_class(name)
        if self.weights is not None:
            given(self.members, self.weights)


def run(store: Store, spec: EnsembleSpec, *, address: str | None = None, debug: bool = False) -> EnsembleSummary:
    """Train and save. Killed, it begins again: each member is a matter of minutes.

    Raises:
        TableError: features or labels are missing, too few posts have both, or they are all viral, or none is.
        ConfigError: a member or a weight that cannot be.
    """
    spec.check()
    streams = streams_of(spec.feature_set)
    data, label = labelled_features(store, spec.feature_set, spec.label, streams, share=spec.share)
    with session(address, debug=debug):
        statistics = statistics_of(data)
        held = held_rows(data, spec.label)
        seen = tuple(stream for stream in data.streams if stream.name in statistics.moments)
        target = statistics.moments["target"]
        task = MemberTask(
            name="",
            data=replace(data, streams=seen),
            bits=_bits(data, spec, statistics.rows),
            layout=Layout.of(seen, statistics.moments),
            scaling=Scaling(float(target.mean[0]), float(target.scale[0])),
            rows=statistics.rows,
            held_rows=held,
            seed=spec.seed,
            workers=spec.workers,
        )
        trained = _trained(store, task, spec.members, spec.name)
        weights = _weighed(spec, trained)
        card = ensemble_card(spec.feature_set, label, task, statistics, trained, weights, store)
        arrays = {each.name: each.tensors for each in trained}
        version = Registry(store).save(spec.name, card, to_bytes(task.layout, arrays))
        calibrate(store, Registry(store).load(f"{spec.name}/{version}"))
    return EnsembleSummary(
        model=f"{spec.name}/{version}",
        rows=statistics.rows,
        validation_rows=task.held_rows,
        data_hash=statistics.data_hash,
        members=lines(card, trained, weights),
        notes=card["notes"],
    )


def _bits(data: LabelledFeatures, spec: EnsembleSpec, rows: int) -> int:
    """How many buckets to read, as a power of two: several for each worker of a crew, so that all have about as much.

    Raises:
        ConfigError: too few posts for so many workers, or too few cores.
    """
    if spec.workers == 1:
        return data.bits()
    if rows < ROWS_A_WORKER * spec.workers:
        raise ConfigError(
            f"{rows} training posts are too few for {spec.workers} workers to grow trees together: "
            f"at least {ROWS_A_WORKER} each, or leave out --workers"
        )
    check_room(spec.workers, ensemble_distributed.CPUS)
    return max(data.bits(), (4 * spec.workers - 1).bit_length())


def held_rows(data: LabelledFeatures, label: str) -> int:
    """Posts of the validation split that have features.

    Raises:
        TableError: too few to weigh models on.
    """
    bits = data.bits()
    found: int = sum(row["rows"] for row in over_buckets(partial(_held, data, bits), bits))
    if found < MIN_HELD:
        raise TableError(
            f"{found} posts of the validation split of labels/{label} have features: at least "
            f"{MIN_HELD} are needed to weigh models on; ingest and backfill more"
        )
    return found


def _held(data: LabelledFeatures, bits: int, bucket: int) -> dict[str, int]:
    return {"rows": data.read(bits, bucket, ("validation",)).num_rows}


def _trained(store: Store, task: MemberTask, members: Sequence[str], model: str) -> list[Trained]:
    """Each member a task of one core, as many at once as there are cores; then those that a crew grows, in turn."""
    import ray

    tasks = [replace(task, name=name) for name in members]
    together = [each for each in tasks if task.workers > 1 and member_class(each.name).grown]
    remote, progress = ray.remote(num_cpus=1)(ensemble_member.train), bar("members", unit="member")
    running = [remote.remote(each) for each in tasks if each not in together]
    left = running
    while left:
        _, left = ray.wait(left)
        progress(len(running) - len(left), len(tasks))
    trained: dict[str, Trained] = {each.name: each for each in ray.get(running)}
    for each in together:
        trained[each.name] = ensemble_distributed.train(store, each, f"runs/{model}-trees-{each.name}")
        progress(len(trained), len(tasks))
    return [trained[name] for name in members]


def _weighed(spec: EnsembleSpec, trained: Sequence[Trained]) -> Weights:
    if spec.weights is not None:
        return given(spec.members, spec.weights)
    return learn([each.said for each in trained], trained[0].viral, trained[0].score)


def weights_option(pairs: Sequence[str], example: str) -> dict[str, float] | None:
    """`--weight NAME=NUMBER`, several times. Raises ConfigError."""
    try:
        return {name: float(weight) for name, _, weight in (pair.rpartition("=") for pair in pairs)} or None
    except ValueError as error:
        raise ConfigError(f"--weight takes MEMBER=WEIGHT, as in --weight {example}") from error


@click.command()
@feature_set_options
@features_option
@click.option("--label", default="log_views", show_default=True, help="The label table to learn.")
@click.option("--name", default="ensemble", show_default=True, help="What the saved model is called.")
@click.option(
    "--member", "members", multiple=True, metavar="MEMBER", help=f"Instead of all: {', '.join(MEMBERS)}; several times."
)
@click.option(
    "--weight",
    "given_weights",
    multiple=True,
    metavar="MEMBER=WEIGHT",
    help="Fix the weights instead of learning them.",
)
@click.option(
    "--workers",
    default=1,
    show_default=True,
    type=click.IntRange(1),
    help="Grow the trees by so many workers together; their nodes must be on a network that is yours alone.",
)
@click.option("--seed", default=0, show_default=True)
@on_ray
@common
def command(
    feature_set: str,
    weights: str | None,
    features: str | None,
    label: str,
    name: str,
    members: tuple[str, ...],
    given_weights: tuple[str, ...],
    workers: int,
    seed: int,
    root: str,
    address: str | None,
    as_json: bool,
    debug: bool,
) -> None:
    """Train an ensemble of classical models: logistic and ridge regression, forest, boosted trees, SVM, k-NN.

    Each chooses its settings on the validation split, and so are the weights of the members, unless they are given.
    Of a very large table svm, logistic and knn learn from a sample of 100,000, 200,000 and 20,000 posts; the trees are
    grown on 2,000,000 for each worker.
    """
    chosen = tuple(dict.fromkeys(members)) or tuple(MEMBERS)
    fixed = weights_option(given_weights, "logistic=0.3")
    store = Store.open(root)
    spec = EnsembleSpec(
        name, set_or_features(store, feature_set, weights, features), label, chosen, fixed, seed, workers
    )
    say(recorded(store, "train", lambda _: run(store, spec, address=address, debug=debug)), as_json=as_json)


if __name__ == "__main__":
    execute(command)
