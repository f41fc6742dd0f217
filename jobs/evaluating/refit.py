"""A model on later posts and, if that is wanted, trained anew with the same settings, with a changelog."""

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
from jobs.evaluating.drift import DriftSummary, Watch
from jobs.runtime.session import session
from jobs.train_ensemble import EnsembleSpec
from jobs.training.labelled import share_of
from jobs.training.options import Workers
from jobs.training.specs import TrainSpec
from viral.datasets.streams import Stream, from_dict, streams_of
from viral.errors import ConfigError
from viral.evaluation.model_comparison import COMPARED, Comparison
from viral.evaluation.splits import SplitSpec
from viral.evaluation.test_predictions import keep
from viral.labels import LabelSpec
from viral.models.train_config import TrainConfig
from viral.promotion import changelog
from viral.promotion.champion import compared
from viral.promotion.changelog import Changelog, Learnt, changelog_lines
from viral.registry.registry import Registry, Saved
from viral.scoring.scorer import feature_set_of
from viral.storage.store import Store
from viral.tables import replaced
from viral.tables.places import labels_prefix
from viral.tables.schemas import LABELS

_DATED = re.compile(r"-\d{4}-\d\d-\d\d(\.\d+)?$")

Train = Callable[[Store, Saved, str], str]
"""From the root, the version before and a label table to the new version."""


@dataclass
class RefitSummary(DriftSummary):
    """The same, with the version that was made, and its changelog."""

    refitted: str = ""
    changelog: list[str] = field(default_factory=list)


def run(
    store: Store, model: str, watch: Watch, *, resamples: int = 1000, address: str | None = None, debug: bool = False
) -> RefitSummary:
    """Look at a model on later posts, label all posts anew, train the same kind of model, judge it, and compare.

    The label table is a new one: the version before, and whatever else was trained on the old one, can still be judged.

    Raises:
        ConfigError: a kind of model, or one with a start, that is not trained anew by itself.
        TableError: as `drift.run`, `label.run` and the training.
    """
    registry = Registry(store)
    saved = registry.load(model)
    train = trainer_of(saved)
    with session(address, debug=debug):
        looked = drift.run(store, str(saved), watch)
        table = new_table(store, saved.card["label"]["name"])
        spec, split = saved.card["label"]["spec"], saved.card["label"]["split"]
        label.run(store, LabelSpec(**spec | {"within": tuple(spec["within"])}), SplitSpec(**split), name=table)
        name, version = registry.resolve(train(store, saved, table))
        evaluate.run(store, f"{name}/{version}", resamples=resamples)
        asked = _ask_before(store, saved, table)
    after = registry.load(f"{name}/{version}")
    made = Changelog(
        when=datetime.now(UTC).isoformat(timespec="seconds"),
        since=watch.since.date().isoformat(),
        why=looked.alarms,
        before=_learnt(store, saved),
        after=_learnt(store, after),
        compared=_compared(registry, after, saved, resamples) if asked else None,
        notes=_notes(saved, after, asked),
    )
    changelog.keep(store, name, version, made)
    return RefitSummary(**vars(looked), refitted=str(after), changelog=list(changelog_lines(made)))


def trainer_of(saved: Saved) -> Train:
    """How to train such a model anew. Raises ConfigError: not by itself; it says by which commands."""
    kind, labels = saved.card["kind"], saved.card["label"]["name"]
    trainers: dict[str, Train] = {"network": _network, "ensemble": _ensemble}
    if kind not in trainers or "continued_from" in saved.card:
        started = "one that went on from another model" if kind in trainers else f"a {kind} model"
        command = {"network": "sound", "ensemble": "ensemble"}.get(kind, kind)
        raise ConfigError(
            f"{saved} is {started}, which --refit does not train: label anew (viral label --name {labels}-new …), "
            f"then viral train {command} --name {saved.name} …"
        )
    return trainers[kind]


def new_table(store: Store, name: str) -> str:
    """A name for a label table that follows on another: with the date, and a number where that is taken."""
    called = f"{_DATED.sub('', name)}-{datetime.now(UTC):%Y-%m-%d}"
    taken = set(replaced.names(store, "labels"))
    numbered = (f"{called}.{number}" for number in range(2, len(taken) + 3))
    return next(each for each in (called, *numbered) if each not in taken)


def network_spec(saved: Saved, table: str) -> tuple[TrainSpec, TrainConfig]:
    """What a network was trained by, on another label table."""
    card = saved.card
    workers: Workers = card["workers"] if isinstance(card["workers"], int) else tuple(card["workers"])
    spec = TrainSpec(
        name=saved.name,
        feature_set=feature_set_of(saved),
        label=table,
        workers=workers,
        gates=card["config"]["gates"],
        architecture=card["config"]["architecture"],
        share=share_of(saved),
    )
    return replace(spec, **_looks_at(saved)), TrainConfig(**card["train"])


def _network(store: Store, saved: Saved, table: str) -> str:
    return train_network.run(store, *network_spec(saved, table)).model


def _looks_at(saved: Saved) -> dict[str, Any]:
    """Which modality or extractor a network was confined to, if to any."""
    offered = streams_of(feature_set_of(saved))
    absent = set(saved.card.get("absent", ()))
    there: tuple[Stream, ...] = from_dict(saved.card["config"]["streams"])
    wanted = {*(stream.name for stream in there), *absent}
    if wanted >= {stream.name for stream in offered}:
        return {}
    modalities = {stream.modality for stream in there}
    if wanted == {stream.name for stream in offered if stream.modality in modalities} and len(modalities) == 1:
        return {"modality": modalities.pop()}
    return {"extractor": there[0].name}


def ensemble_spec(saved: Saved, table: str) -> EnsembleSpec:
    """What an ensemble was trained by, on another label table; its weights are learnt anew."""
    card = saved.card
    return EnsembleSpec(
        name=saved.name,
        feature_set=feature_set_of(saved),
        label=table,
        members=tuple(card["members"]),
        seed=card["seed"],
        workers=card["workers"],
        share=share_of(saved),
    )


def _ensemble(store: Store, saved: Saved, table: str) -> str:
    return train_ensemble.run(store, ensemble_spec(saved, table)).model


def _ask_before(store: Store, saved: Saved, table: str) -> bool:
    """Keep what the version before says of the new test posts that it has not learnt from; False: there is none."""
    labels, _ = replaced.current(store, labels_prefix(table), LABELS)
    rows = drift.said_of_tested(store, saved, labels)
    fresh = rows.filter(pc.invert(pc.is_in(rows["post_id"], drift.learnt_from(store, saved))))
    keep(store, saved.name, saved.version, fresh, label=table)
    return bool(fresh.num_rows)


def _compared(registry: Registry, after: Saved, before: Saved, resamples: int) -> Comparison:
    return compared(registry, (after.name, after.version), (before.name, before.version), COMPARED, resamples)


def _learnt(store: Store, saved: Saved) -> Learnt:
    card = saved.card
    first, last = _posted(store, card["label"]["name"])
    return Learnt(
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


def _posted(store: Store, table: str) -> tuple[str | None, str | None]:
    """When the first and the last post of a training split went up."""
    labels, _ = replaced.current(store, labels_prefix(table), LABELS)
    parts = [rows.filter(pc.equal(rows["split"], "train"))["posted_at"] for rows in labels.scan(["split", "posted_at"])]
    ends = pc.min_max(pa.chunked_array([chunk for part in parts for chunk in part.chunks]))
    first, last = ends["min"].as_py(), ends["max"].as_py()
    return (first.isoformat(), last.isoformat()) if first else (None, None)


def _notes(before: Saved, after: Saved, asked: bool) -> list[str]:
    notes = []
    if not asked:
        notes.append(f"no test post of {after} is one that {before} has not learnt from: the two are not compared")
    elif _constants(before.card["label"]["fitted"]) != _constants(after.card["label"]["fitted"]):
        notes.append(
            f"compared by the label of {after}, whose constants are others than those that {before} learnt: "
            "its probabilities and scores mean a little else, its order the same"
        )
    return notes
