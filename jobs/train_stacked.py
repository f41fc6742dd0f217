"""Combine saved models into one, with weights learned on the validation split."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any

import click
import numpy as np
import numpy.typing as npt
import pyarrow as pa
from click.core import ParameterSource

import viral
from jobs import train_ensemble, train_network
from jobs.runtime.buckets import map_buckets
from jobs.runtime.options import feature_set_options
from jobs.runtime.session import session
from jobs.scoring.loaded import raw_scorer
from jobs.train_ensemble import MIN_VALIDATION_ROWS, EnsembleSpec, validation_rows
from jobs.training.calibrate import calibrate
from jobs.training.ensemble_card import ALL_MEMBERS, validation_metrics
from jobs.training.ensemble_member import MAX_VALIDATION_ROWS
from jobs.training.external_features import features_option, set_or_features
from jobs.training.labelled import author_fraction_of, statistics_of, training_data
from jobs.training.options import parse_weights
from jobs.training.specs import TrainSpec
from viral.console.commands import execute
from viral.console.options import ray_options, root_options
from viral.console.output import print_summary
from viral.datasets.labelled_features import LabelledFeatures, Statistics
from viral.datasets.streams import Stream, from_table
from viral.errors import ConfigError, TableError
from viral.extractors.feature_set import FeatureSet
from viral.models.ensemble.rows import is_sampled
from viral.models.mixing import MixingWeights, learn_weights, mix, normalise_weights
from viral.models.predictions import Floats, PredictionBatch
from viral.models.stacked import to_bytes, union_streams
from viral.models.train_config import TrainConfig
from viral.registry.registry import ModelVersion, Registry
from viral.storage.store import Store
from viral.tables.places import check_name
from viral.tables.run_log import record_run


@dataclass
class StackedSummary:
    """The saved model, with weights and validation metrics of each member."""

    model: str
    validation_rows: int
    data_hash: str
    members: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class StackedSpec:
    """Settings of a stack: members as `name` or `name/version`, and fixed weights by member; None: learn them."""

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
    author_fraction: float = 1.0,
    debug: bool = False,
) -> tuple[str, ...]:
    """Train and save a fusion model `<name>-fusion` and an ensemble `<name>-ensemble`. Call it within a session.

    The names differ from the defaults of `viral train`, so that a served `fusion` is not replaced.
    """
    check_name(f"{name}-ensemble")
    ensemble = EnsembleSpec(f"{name}-ensemble", feature_set, label, seed=seed, author_fraction=author_fraction)
    trees = train_ensemble.run(store, ensemble, debug=debug)
    network = TrainSpec(f"{name}-fusion", feature_set, label, author_fraction=author_fraction)
    fused = train_network.run(store, network, TrainConfig(seed=seed), debug=debug)
    return fused.model, trees.model


def run(store: Store, spec: StackedSpec, *, address: str | None = None, debug: bool = False) -> StackedSummary:
    """Combine saved models and save the result as one model.

    Raises:
        TableError: a model is missing, or the models were not trained on the same features and labels.
        ConfigError: fewer than two members, or invalid weights.
    """
    check_name(spec.name)
    models = _models(store, spec.members)
    fixed = None if spec.weights is None else normalise_weights(spec.members, spec.weights)
    streams = union_streams([model.card for model in models])
    data = training_data(store, models[0], streams)
    with session(address, store, debug=debug):
        statistics = statistics_of(data)
        predictions, viral_posts, score = _predict(data, models, validation_rows(data, models[0].card["label"]["name"]))
        # On the validation split, which no member was trained on.
        weights = fixed or learn_weights(predictions, viral_posts, score)
        metrics = [validation_metrics(batch, viral_posts, score) for batch in (*predictions, mix(predictions, weights))]
        card = _card(models, weights, metrics, streams, statistics)
        version = Registry(store).save(spec.name, card, to_bytes(models))
        calibrate(store, Registry(store).load(f"{spec.name}/{version}"))
    lines = {str(model): f"{_format(weights.to_dict(i))}; {_format(metrics[i])}" for i, model in enumerate(models)}
    lines[ALL_MEMBERS] = _format(metrics[-1])
    return StackedSummary(f"{spec.name}/{version}", len(score), statistics.data_hash, lines)


def _models(store: Store, members: Sequence[str]) -> list[ModelVersion]:
    models = [Registry(store).load(name) for name in members]
    if len({str(model) for model in models}) < max(2, len(models)):
        raise ConfigError("name two or more different models, as in --member fusion --member ensemble")
    first = models[0]
    for model in models[1:]:
        if model.card["feature_set"]["fingerprint"] != first.card["feature_set"]["fingerprint"]:
            raise TableError(f"{model} and {first} were trained on different feature sets: train both on the same")
        if model.card["label"] != first.card["label"]:
            raise TableError(f"{model} and {first} were trained on different labels: train both on the same")
        if author_fraction_of(model) != author_fraction_of(first):
            raise TableError(f"{model} and {first} were trained on different authors: train both on the same fraction")
    return models


def _predict(
    data: LabelledFeatures, models: Sequence[ModelVersion], rows: int
) -> tuple[list[PredictionBatch], npt.NDArray[np.bool_], Floats]:
    """Predict the validation posts that have inputs of all models; return predictions by model, `is_viral` and score.

    `rows` is the size of the validation split, of which a sample is used. Raises TableError: too few such posts.
    """
    log2_buckets = data.log2_buckets()
    # More posts hardly change a few weights, and the driver holds the predictions of all members.
    fraction = min(1.0, MAX_VALIDATION_ROWS / max(1, rows))
    work = partial(_predict_bucket, data, log2_buckets, tuple(map(str, models)), fraction)
    labels, predictions = zip(*map_buckets(work, log2_buckets), strict=True)
    is_viral, score = np.concatenate(labels).T
    if len(score) < MIN_VALIDATION_ROWS:
        raise TableError(
            f"{len(score)} validation posts have inputs of all of {', '.join(map(str, models))}: "
            f"at least {MIN_VALIDATION_ROWS} are needed to learn weights"
        )
    # Buckets come back as (models, rows, 4): joined along the posts.
    by_model = np.concatenate(predictions, axis=1)
    return [PredictionBatch.from_quantiles(batch[:, 0], batch[:, 1:]) for batch in by_model], is_viral > 0, score


def _predict_bucket(
    data: LabelledFeatures, log2_buckets: int, models: Sequence[str], fraction: float, bucket: int
) -> tuple[Floats, Floats]:
    """Return a bucket's labels (rows, 2), and probability, low, score and high of each model (models, rows, 4)."""
    rows = data.read(log2_buckets, bucket, ("validation",))
    rows = rows.filter(pa.array([is_sampled(post, fraction) for post in rows["post_id"].to_pylist()], pa.bool_()))
    scorers = [raw_scorer(data.features.store.root, model) for model in models]
    batches = [from_table(scorer.streams, rows) for scorer in scorers]
    # Only posts that all members can score: otherwise the weights would compare them on different posts.
    has_inputs = np.flatnonzero(np.all([batch.present.any(axis=1) for batch in batches], axis=0))
    labels = np.stack([rows["is_viral"].to_numpy(zero_copy_only=False), rows["target"].to_numpy()], axis=1)[has_inputs]
    predictions = np.zeros((len(models), len(has_inputs), 4))
    for i, (scorer, batch) in enumerate(zip(scorers, batches, strict=True)):
        scores = scorer.score_batch(batch.take(has_inputs)) if len(has_inputs) else []
        predictions[i] = np.reshape([(post.probability, post.low, post.score, post.high) for post in scores], (-1, 4))
    return labels.astype(np.float64), predictions


def _card(
    models: Sequence[ModelVersion],
    weights: MixingWeights,
    metrics: Sequence[dict[str, float]],
    streams: Sequence[Stream],
    statistics: Statistics,
) -> dict[str, Any]:
    # `_models` made sure that feature set, label and fraction of authors are the same for all members.
    first = models[0].card
    members = [
        {"name": model.name, "version": model.version, "weights": weights.to_dict(i), "validation": metrics[i]}
        | {"card": model.card}
        for i, model in enumerate(models)
    ]
    return {
        "kind": "stacked",
        "config": {"streams": [asdict(stream) for stream in streams]},
        "members": members,
        "feature_set": first["feature_set"],
        "label": first["label"],
        "rows": statistics.rows,
        "data_hash": statistics.data_hash,
        "code_version": viral.__version__,
        "sources": first["sources"],
        "share": author_fraction_of(models[0]),
        "notes": list(dict.fromkeys(note for model in models for note in model.card["notes"])),
    }


def _format(metrics: dict[str, float]) -> str:
    return ", ".join(f"{name.replace('_', ' ')} {value:.4g}" for name, value in metrics.items())


@click.command()
@feature_set_options
@features_option
@click.option("--label", help="Without --member: label table to learn.  [default: log_views]")
@click.option("--name", default="stacked", show_default=True, help="Name of the saved model.")
@click.option(
    "--member", "members", multiple=True, metavar="MODEL", help="A saved model: NAME or NAME/VERSION; repeatable."
)
@click.option(
    "--weight", "fixed_weights", multiple=True, metavar="MODEL=WEIGHT", help="Fix the weights instead of learning them."
)
@click.option("--seed", default=0, show_default=True, help="Without --member: seed of the training.")
@ray_options
@root_options
def command(
    feature_set: str,
    weights: str | None,
    features: str | None,
    label: str | None,
    name: str,
    members: tuple[str, ...],
    fixed_weights: tuple[str, ...],
    seed: int,
    root: str,
    address: str | None,
    as_json: bool,
    debug: bool,
) -> None:
    """Combine saved models into one, with weights learned on the validation split.

    Without --member it first trains a fusion model and an ensemble of classical models on --feature-set and --label,
    and saves them as NAME-fusion and NAME-ensemble.
    """
    store = Store.open(root)
    fixed = parse_weights(fixed_weights, "--weight takes MODEL=WEIGHT, as in --weight fusion/3=0.4")
    if members and (label or weights or features or _names_feature_set()):
        raise ConfigError(
            "--member determines features and labels: leave out --feature-set, --weights, --features and --label"
        )
    if fixed and not members:
        raise ConfigError("--weight is for saved models: select them with --member")

    def work() -> StackedSummary:
        """Combine the members; train them first if none is named."""
        # Around everything, so that training and combining share one Ray.
        with session(address, store, debug=debug):
            if members:
                return run(store, StackedSpec(name, members, fixed), debug=debug)
            inputs = set_or_features(store, feature_set, weights, features)
            trained = train_members(store, name, inputs, label or "log_views", seed=seed, debug=debug)
            return run(store, StackedSpec(name, trained), debug=debug)

    print_summary(record_run(store, "train", lambda _: work()), as_json=as_json)


def _names_feature_set() -> bool:
    # The feature set has a default, so only its source tells whether the user asked for one.
    source = click.get_current_context().get_parameter_source("feature_set")
    return source not in (None, ParameterSource.DEFAULT)


if __name__ == "__main__":
    execute(command)
