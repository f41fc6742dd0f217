"""Saved models → one that weighs what they say, by how good each is on the validation split."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any

import click
import numpy as np
import numpy.typing as npt
import pyarrow as pa

import viral
from jobs import train_ensemble, train_network
from jobs.runtime.buckets import map_buckets
from jobs.runtime.options import feature_set_options
from jobs.runtime.session import session
from jobs.scoring.loaded import raw_scorer
from jobs.train_ensemble import MIN_HELD, EnsembleSpec, held_rows, weights_option
from jobs.training.calibrate import calibrate
from jobs.training.ensemble_card import TOGETHER
from jobs.training.ensemble_member import HELD_ROWS
from jobs.training.external_features import features_option, set_or_features
from jobs.training.labelled import labelled_features, share_of, statistics_of
from jobs.training.specs import TrainSpec
from viral.console.commands import execute
from viral.console.options import ray_options, root_options
from viral.console.output import print_summary
from viral.datasets.labelled_features import LabelledFeatures, Statistics
from viral.datasets.streams import Stream, from_table
from viral.errors import ConfigError, TableError
from viral.extractors.feature_set import FeatureSet
from viral.models.ensemble.member import log_loss, squared_loss
from viral.models.ensemble.rows import sampled
from viral.models.mixing import Floats, Weights, given, learn, mix
from viral.models.predictions import PredictionBatch
from viral.models.stacked import to_bytes, union
from viral.models.train_config import TrainConfig
from viral.registry.registry import Registry, Saved
from viral.scoring.scorer import feature_set_of
from viral.storage.store import Store
from viral.tables.places import check_name
from viral.tables.run_log import record_run


@dataclass
class StackedSummary:
    """The stack that was saved: for each member its weights, and how good it is on the validation split."""

    model: str
    validation_rows: int
    data_hash: str
    members: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class StackedSpec:
    """What to stack: saved models by `name` or `name/version`, and their weights by the same words, if given."""

    name: str
    members: tuple[str, ...]
    weights: dict[str, float] | None = None


def train_members(
    store: Store,
    name: str,
    feature_set: FeatureSet,
    label: str,
    *,
    seed: int = 0,
    share: float = 1.0,
    debug: bool = False,
) -> tuple[str, ...]:
    """Train and save a fusion model and an ensemble of classical ones, `<name>-fusion` and `<name>-ensemble`.

    By names of their own, so that nobody who serves `fusion` is given another model. Call it within a session.
    """
    check_name(f"{name}-ensemble")
    ensemble = EnsembleSpec(f"{name}-ensemble", feature_set, label, seed=seed, share=share)
    trees = train_ensemble.run(store, ensemble, debug=debug)
    network = TrainSpec(f"{name}-fusion", feature_set, label, share=share)
    fused = train_network.run(store, network, TrainConfig(seed=seed), debug=debug)
    return fused.model, trees.model


def run(store: Store, spec: StackedSpec, *, address: str | None = None, debug: bool = False) -> StackedSummary:
    """Weigh saved models and save them as one.

    Raises:
        TableError: a model is not there, or they were not trained on the same features and labels.
        ConfigError: fewer than two members, or weights that cannot be.
    """
    check_name(spec.name)
    models = _models(store, spec.members)
    fixed = None if spec.weights is None else given(spec.members, spec.weights)
    label = models[0].card["label"]
    streams = union([each.card for each in models])
    share = share_of(models[0])
    data, about = labelled_features(store, feature_set_of(models[0]), label["name"], streams, share=share)
    if about != label:
        raise TableError(f"labels/{label['name']} was made anew since {models[0]} was trained: train the members again")
    with session(address, debug=debug):
        statistics = statistics_of(data)
        held = held_rows(data, label["name"])
        said, viral_posts, score = _judged(data, models, held)
        weights = fixed or learn(said, viral_posts, score)
        figures = [_figures(each, viral_posts, score) for each in (*said, mix(said, weights))]
        card = _card(models, weights, figures, streams, statistics)
        version = Registry(store).save(spec.name, card, to_bytes(models))
        calibrate(store, Registry(store).load(f"{spec.name}/{version}"))
    lines = {str(each): f"{_told(weights.of(at))}; {_told(figures[at])}" for at, each in enumerate(models)}
    together = {TOGETHER: _told(figures[-1])}
    return StackedSummary(f"{spec.name}/{version}", len(score), statistics.data_hash, lines | together)


def _models(store: Store, members: Sequence[str]) -> list[Saved]:
    models = [Registry(store).load(each) for each in members]
    if len({str(each) for each in models}) < max(2, len(models)):
        raise ConfigError("a stack needs two or more different models: --member fusion --member ensemble, say")
    first = models[0]
    for one in models[1:]:
        if one.card["feature_set"]["fingerprint"] != first.card["feature_set"]["fingerprint"]:
            raise TableError(f"{one} and {first} were trained on different feature sets: train both on one")
        if one.card["label"] != first.card["label"]:
            raise TableError(f"{one} and {first} were trained on different labels: train both on the same")
        if share_of(one) != share_of(first):
            raise TableError(f"{one} and {first} were trained on different shares of the authors: train both on one")
    return models


def _judged(
    data: LabelledFeatures, models: Sequence[Saved], held: int
) -> tuple[list[PredictionBatch], npt.NDArray[np.bool_], Floats]:
    """What each model says of the validation posts that all of them can say something of, and the truth.

    Raises:
        TableError: there are too few of those.
    """
    log2_buckets = data.log2_buckets()
    work = partial(_judge_bucket, data, log2_buckets, tuple(map(str, models)), min(1.0, HELD_ROWS / max(1, held)))
    found = list(map_buckets(work, log2_buckets))
    truth = np.concatenate([each[0] for each in found])
    said = np.concatenate([each[1] for each in found], axis=1)
    if len(truth) < MIN_HELD:
        raise TableError(
            f"{len(truth)} validation posts have what all of {', '.join(map(str, models))} look at: "
            f"at least {MIN_HELD} are needed to weigh them"
        )
    return [PredictionBatch.from_quantiles(each[:, 0], each[:, 1:]) for each in said], truth[:, 0] > 0, truth[:, 1]


def _judge_bucket(
    data: LabelledFeatures, log2_buckets: int, models: Sequence[str], keep: float, bucket: int
) -> tuple[Floats, Floats]:
    """Truth (rows, 2), and what the models say (models, rows, 4), of one bucket."""
    rows = data.read(log2_buckets, bucket, ("validation",))
    rows = rows.filter(pa.array([sampled(post, keep) for post in rows["post_id"].to_pylist()], pa.bool_()))
    scorers = [raw_scorer(data.features.store.root, model) for model in models]
    batches = [from_table(scorer.streams, rows) for scorer in scorers]
    able = np.flatnonzero(np.all([batch.present.any(axis=1) for batch in batches], axis=0))
    truth = np.stack([rows["is_viral"].to_numpy(zero_copy_only=False), rows["target"].to_numpy()], axis=1)[able]
    said = np.zeros((len(models), len(able), 4))
    for at, (scorer, batch) in enumerate(zip(scorers, batches, strict=True)):
        scored = scorer.score_batch(batch.take(able)) if len(able) else []
        said[at] = np.reshape([(each.probability, each.low, each.score, each.high) for each in scored], (-1, 4))
    return truth.astype(np.float64), said


def _card(
    models: Sequence[Saved],
    weights: Weights,
    figures: Sequence[dict[str, float]],
    streams: Sequence[Stream],
    statistics: Statistics,
) -> dict[str, Any]:
    first = models[0].card
    members = [
        {"name": each.name, "version": each.version, "weights": weights.of(at), "validation": figures[at]}
        for at, each in enumerate(models)
    ]
    return {
        "kind": "stacked",
        "config": {"streams": [asdict(stream) for stream in streams]},
        "members": [{**one, "card": each.card} for one, each in zip(members, models, strict=True)],
        "feature_set": first["feature_set"],
        "label": first["label"],
        "rows": statistics.rows,
        "data_hash": statistics.data_hash,
        "code_version": viral.__version__,
        "sources": first["sources"],
        "share": share_of(models[0]),
        "notes": list(dict.fromkeys(note for each in models for note in each.card["notes"])),
    }


def _figures(said: PredictionBatch, viral_posts: npt.NDArray[np.bool_], score: Floats) -> dict[str, float]:
    error = squared_loss(said.score, score) ** 0.5
    return {"log_loss": log_loss(said.probability, viral_posts), "rmse": error}


def _told(numbers: dict[str, float]) -> str:
    return ", ".join(f"{name.replace('_', ' ')} {value:.4g}" for name, value in numbers.items())


def _given(name: str) -> bool:
    """Whether an option was written down, not left to its default."""
    source = click.get_current_context().get_parameter_source(name)
    return source not in (None, click.core.ParameterSource.DEFAULT)


@click.command()
@feature_set_options
@features_option
@click.option("--label", help="With no --member: the label table to learn.  [default: log_views]")
@click.option("--name", default="stacked", show_default=True, help="What the saved model is called.")
@click.option(
    "--member", "members", multiple=True, metavar="MODEL", help="A saved model: NAME or NAME/VERSION; several."
)
@click.option(
    "--weight", "given_weights", multiple=True, metavar="MODEL=WEIGHT", help="Fix the weights instead of learning them."
)
@click.option("--seed", default=0, show_default=True, help="With no --member.")
@ray_options
@root_options
def command(
    feature_set: str,
    weights: str | None,
    features: str | None,
    label: str | None,
    name: str,
    members: tuple[str, ...],
    given_weights: tuple[str, ...],
    seed: int,
    root: str,
    address: str | None,
    as_json: bool,
    debug: bool,
) -> None:
    """Weigh saved models by how good they are on the validation split, and save them as one.

    With no --member it first trains a fusion model and an ensemble of classical ones on --feature-set and --label, and
    saves them as NAME-fusion and NAME-ensemble.
    """
    store = Store.open(root)
    fixed = weights_option(given_weights, "fusion/3=0.4")
    if members and (label or weights or features or _given("feature_set")):
        raise ConfigError(
            "saved members bring their features and labels: leave out --feature-set, --weights, --features and --label"
        )
    if fixed and not members:
        raise ConfigError("--weight is for models that are there: name them with --member")

    def work() -> StackedSummary:
        with session(address, debug=debug):
            chosen = members
            if not chosen:
                offered = set_or_features(store, feature_set, weights, features)
                chosen = train_members(store, name, offered, label or "log_views", seed=seed, debug=debug)
            return run(store, StackedSpec(name, chosen, fixed), debug=debug)

    print_summary(record_run(store, "train", lambda _: work()), as_json=as_json)


if __name__ == "__main__":
    execute(command)
