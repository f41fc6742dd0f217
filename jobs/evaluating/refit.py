"""`viral drift --refit`: test a model on newer posts, train it again with the same settings, and compare."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from jobs import evaluate, label, train_ensemble, train_network
from jobs.evaluating import drift
from jobs.evaluating.drift import DriftSpec, DriftSummary
from jobs.runtime.session import session
from jobs.train_ensemble import EnsembleSpec
from jobs.training.labelled import author_fraction_of
from jobs.training.options import Workers
from jobs.training.specs import TrainSpec
from viral.datasets.streams import Stream, dense, from_dict, streams_of
from viral.errors import ConfigError
from viral.evaluation import test_predictions
from viral.evaluation.model_comparison import COMPARED_METRICS, Comparison
from viral.evaluation.splits import SplitSpec
from viral.labels import LabelSpec
from viral.models.train_config import TrainConfig
from viral.promotion import changelog
from viral.promotion.champion import compare_versions
from viral.promotion.changelog import Changelog, TrainingSnapshot, changelog_lines
from viral.registry.registry import ModelVersion, Registry
from viral.scoring.scorer import feature_set_of
from viral.storage.store import Store
from viral.tables import replaced
from viral.tables.places import labels_prefix
from viral.tables.schemas import LABELS

_DATED = re.compile(r"-\d{4}-\d\d-\d\d(\.\d+)?$")  # end of the names that `new_table` makes

TrainFunction = Callable[[Store, ModelVersion, str], str]
"""Takes the root, the previous version and the name of a label table; returns the new version."""


@dataclass
class RefitSummary(DriftSummary):
    """Summary of the drift, with the new version and its changelog."""

    refitted: str = ""
    changelog: list[str] = field(default_factory=list)


def run(
    store: Store, model: str, spec: DriftSpec, *, resamples: int = 1000, address: str | None = None, debug: bool = False
) -> RefitSummary:
    """Test a model on newer posts, label all posts again, train the same kind of model, evaluate and compare it.

    The labels go to a new table, so that models trained on the old one can still be evaluated.

    Raises:
        ConfigError: a model of a kind, or with a start, that cannot be trained again automatically.
        TableError: as `drift.run`, `label.run` and the training.
    """
    registry = Registry(store)
    before = registry.load(model)
    # First of all: a model that cannot be trained again must fail before the long part.
    train = trainer_of(before)
    with session(address, store, debug=debug):
        # First the test, then the training: afterwards the newer posts are training posts.
        summary = drift.run(store, str(before), spec)
        table = new_table(store, before.card["label"]["name"])
        label_spec, split = before.card["label"]["spec"], before.card["label"]["split"]
        label_spec = LabelSpec(**label_spec | {"within": tuple(label_spec["within"])})
        label.run(store, label_spec, SplitSpec(**split), name=table)
        name, version = registry.resolve(train(store, before, table))
        evaluate.run(store, f"{name}/{version}", resamples=resamples)
        comparable = _predict_with_previous(store, before, table)
    after = registry.load(f"{name}/{version}")
    log = Changelog(
        when=datetime.now(UTC).isoformat(timespec="seconds"),
        since=spec.since.date().isoformat(),
        why=summary.alarms,
        before=_snapshot(store, before),
        after=_snapshot(store, after),
        compared=_compare(registry, after, before, resamples) if comparable else None,
        notes=_notes(before, after, comparable),
    )
    changelog.save_changelog(store, name, version, log)
    return RefitSummary(**vars(summary), refitted=str(after), changelog=list(changelog_lines(log)))


def trainer_of(saved: ModelVersion) -> TrainFunction:
    """Return the function that trains a model again. Raises ConfigError, naming the commands, if there is none."""
    kind, labels = saved.card["kind"], saved.card["label"]["name"]
    trainers: dict[str, TrainFunction] = {"network": _train_network, "ensemble": _train_ensemble}
    if kind not in trainers or "continued_from" in saved.card:
        description = "continued from another model" if kind in trainers else f"a {kind} model"
        command = {"network": "sound", "ensemble": "ensemble"}.get(kind, kind)
        raise ConfigError(
            f"{saved} is {description}, which --refit does not train: label again (viral label --name {labels}-new …), "
            f"then viral train {command} --name {saved.name} …"
        )
    return trainers[kind]


def new_table(store: Store, name: str) -> str:
    """Return a free name for the successor of a label table: with the date, and a number if that is taken."""
    dated = f"{_DATED.sub('', name)}-{datetime.now(UTC):%Y-%m-%d}"
    taken = set(replaced.table_names(store, "labels"))
    # One more candidate than there are tables: one of them must be free.
    numbered = (f"{dated}.{number}" for number in range(2, len(taken) + 3))
    return next(candidate for candidate in (dated, *numbered) if candidate not in taken)


def network_spec(saved: ModelVersion, table: str) -> tuple[TrainSpec, TrainConfig]:
    """Settings of a network's training, with another label table."""
    card = saved.card
    # JSON turns a range (least, most) into a list.
    workers: Workers = card["workers"] if isinstance(card["workers"], int) else tuple(card["workers"])
    spec = TrainSpec(
        name=saved.name,
        feature_set=feature_set_of(saved),
        label=table,
        workers=workers,
        gates=card["config"]["gates"],
        architecture=card["config"]["architecture"],
        author_fraction=author_fraction_of(saved),
    )
    return replace(spec, **_input_restriction(saved)), TrainConfig(**card["train"])


def _train_network(store: Store, saved: ModelVersion, table: str) -> str:
    return train_network.run(store, *network_spec(saved, table)).model


def _input_restriction(saved: ModelVersion) -> dict[str, Any]:
    """The modality or extractor that the inputs of a network were restricted to, if any."""
    offered = dense(streams_of(feature_set_of(saved)))
    absent = set(saved.card.get("absent", ()))
    streams: tuple[Stream, ...] = from_dict(saved.card["config"]["streams"])
    selected = {*(stream.name for stream in streams), *absent}
    # All that the feature set offers: a model of all modalities.
    if selected >= {stream.name for stream in offered}:
        return {}
    modalities = {stream.modality for stream in streams}
    # All streams of one modality, as `viral train text` selects them.
    if selected == {stream.name for stream in offered if stream.modality in modalities} and len(modalities) == 1:
        return {"modality": modalities.pop()}
    return {"extractor": streams[0].name}


def ensemble_spec(saved: ModelVersion, table: str) -> EnsembleSpec:
    """Settings of an ensemble's training, with another label table; the mixing weights are fitted again."""
    card = saved.card
    return EnsembleSpec(
        name=saved.name,
        feature_set=feature_set_of(saved),
        label=table,
        members=tuple(card["members"]),
        seed=card["seed"],
        workers=card["workers"],
        author_fraction=author_fraction_of(saved),
    )


def _train_ensemble(store: Store, saved: ModelVersion, table: str) -> str:
    return train_ensemble.run(store, ensemble_spec(saved, table)).model


def _predict_with_previous(store: Store, before: ModelVersion, table: str) -> bool:
    """Store the previous version's predictions for the new test posts that it was not trained on, if there are any."""
    labels, _ = replaced.open_current(store, labels_prefix(table), LABELS)
    rows = drift.predict_test_posts(store, before, labels)
    # Posts of the old training split would flatter the old version.
    fresh = rows.filter(pc.invert(pc.is_in(rows["post_id"], drift.training_posts(store, before))))
    test_predictions.save(store, before.name, before.version, fresh, label=table)
    return bool(fresh.num_rows)


def _compare(registry: Registry, after: ModelVersion, before: ModelVersion, resamples: int) -> Comparison:
    pair = (after.name, after.version), (before.name, before.version)
    return compare_versions(registry, *pair, COMPARED_METRICS, resamples)


def _snapshot(store: Store, saved: ModelVersion) -> TrainingSnapshot:
    card = saved.card
    first, last = _time_range(store, card["label"]["name"])
    return TrainingSnapshot(
        model=str(saved),
        table=card["label"]["name"],
        rows=card["rows"],
        first=first,
        last=last,
        constants=_constants(card["label"]["fitted"]),
        data_hash=card["data_hash"],
        code_version=card["code_version"],
    )


def _constants(fitted: dict[str, Any]) -> dict[str, Any]:
    return {**fitted["fitted"], "threshold": fitted["threshold"], **fitted["bin_thresholds"]}


def _time_range(store: Store, table: str) -> tuple[str | None, str | None]:
    """First and last posting time of a training split."""
    labels, _ = replaced.open_current(store, labels_prefix(table), LABELS)
    parts = [rows.filter(pc.equal(rows["split"], "train"))["posted_at"] for rows in labels.scan(["split", "posted_at"])]
    ends = pc.min_max(pa.chunked_array([chunk for part in parts for chunk in part.chunks]))
    first, last = ends["min"].as_py(), ends["max"].as_py()
    return (first.isoformat(), last.isoformat()) if first else (None, None)


def _notes(before: ModelVersion, after: ModelVersion, comparable: bool) -> list[str]:
    notes = []
    if not comparable:
        notes.append(f"{before} was trained on every test post of {after}: the two are not compared")
    elif _constants(before.card["label"]["fitted"]) != _constants(after.card["label"]["fitted"]):
        notes.append(
            f"compared by the label of {after}, whose constants differ from those of {before}: the probabilities and "
            "scores of the latter mean something slightly different, its ranking the same"
        )
    return notes
