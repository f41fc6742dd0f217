"""Steps of a study: label, train, evaluate. Models and scorecards of unchanged data are reused."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field, replace

import viral
from jobs import evaluate, label, train_ensemble, train_network, train_stacked
from jobs.train import MODELS
from jobs.train_ensemble import EnsembleSpec
from jobs.train_network import FUSION
from jobs.train_stacked import StackedSpec
from jobs.training.labelled import labelled_features, statistics_of
from jobs.training.options import Workers
from jobs.training.specs import TrainSpec
from viral.datasets.streams import streams_of
from viral.errors import TableError
from viral.evaluation.report.report import Report
from viral.evaluation.splits import SplitSpec
from viral.extractors.feature_set import FeatureSet
from viral.labels import LabelSpec
from viral.models.ensemble.member import MEMBERS
from viral.models.train_config import TrainConfig
from viral.registry.registry import Registry
from viral.storage.store import Store, read_json

ENSEMBLE, STACKED = "ensemble", "stacked"
KINDS = tuple(kind for kind in MODELS if kind not in ("sound", "video"))
"""Kinds of models that can be studied: those that train on any feature table."""


@dataclass(frozen=True)
class Recipe:
    """Kind and settings of the studied model: `members` of an ensemble, `config` and `workers` of a network."""

    kind: str = ENSEMBLE
    members: tuple[str, ...] = tuple(MEMBERS)
    config: TrainConfig = field(default_factory=TrainConfig)
    workers: Workers = 2


@dataclass(frozen=True)
class Experiment:
    """Label, split, seed and fraction of the training authors of one model in a study."""

    label: LabelSpec
    split: SplitSpec
    seed: int = 0
    author_fraction: float = 1.0

    @property
    def label_table(self) -> str:
        """Name of the label table."""
        # Settings that differ from the default are part of the name, so that each experiment has its own table and
        # model.
        gap = f"-gap{self.split.gap_days:g}" if self.split.gap_days else ""
        return f"{self.label.definition}-{self.split.kind}{gap}"

    def model_name(self, kind: str) -> str:
        """Name of the saved model."""
        seed = f"-seed{self.seed}" if self.seed else ""
        fraction = f"-share{100 * self.author_fraction:g}" if self.author_fraction < 1 else ""
        return f"{self.label_table}-{kind}{seed}{fraction}"


@dataclass
class StudyRunner:
    """Trains and evaluates each model of a study once. Call it within a session.

    Attributes:
        store: the root.
        prefix: folder of the study.
        feature_set: input of the models.
        recipe: kind and settings of the models.
        resamples: number of bootstrap resamples.
        reused: number of scorecards reused from an earlier run.
        labelled: label tables written by this run.
    """

    store: Store
    prefix: str
    feature_set: FeatureSet
    recipe: Recipe
    resamples: int
    reused: int = 0
    labelled: set[str] = field(default_factory=set)

    def evaluate(self, experiment: Experiment) -> tuple[Report, str]:
        """Return the scorecard of an experiment's model, and the path of its page relative to the study's folder.

        Raises:
            TableError, ConfigError: the posts cannot be split that way, or too few are left to train on.
        """
        self._label(experiment)
        model = self._model(experiment)
        copy = f"scorecards/{model.replace('/', '-')}"
        card = read_json(self.store, f"{self.prefix}/{copy}.json")
        # With another number of resamples the intervals differ: a copy of those is not reused.
        if card and card["settings"]["resamples"] == self.resamples:
            self.reused += 1
            return Report.model_validate(card), f"{copy}.html"
        evaluate.run(self.store, model, resamples=self.resamples)
        name, version = model.split("/")
        for ending in ("html", "json"):  # the JSON last: it marks the copy as complete
            content = self.store.read(Registry.key(name, int(version), f"scorecard.{ending}"))
            self.store.write(f"{self.prefix}/{copy}.{ending}", content)
        return Report.model_validate_json(content), f"{copy}.html"

    def _label(self, experiment: Experiment) -> None:
        """Write the label table once per run; it takes seconds, and the same posts give the same labels."""
        if experiment.label_table not in self.labelled:
            label.run(self.store, experiment.label, experiment.split, name=experiment.label_table)
            self.labelled.add(experiment.label_table)

    def _model(self, experiment: Experiment) -> str:
        """Return `name/version` of the experiment's model: an earlier one with the same identity, or a new one."""
        key = f"{self.prefix}/models/{experiment.model_name(self.recipe.kind)}.json"
        identity = self._identity(experiment)
        earlier = read_json(self.store, key)
        # The model may have been deleted since.
        if earlier and earlier["identity"] == identity and self._exists(earlier["model"]):
            return str(earlier["model"])
        model = self._train(experiment)
        self.store.write(key, json.dumps({"identity": identity, "model": model}).encode())
        return model

    def _identity(self, experiment: Experiment) -> str:
        """Hash of data, labels and settings."""
        streams, seed, fraction = streams_of(self.feature_set), experiment.seed, experiment.author_fraction
        table = experiment.label_table
        data, about = labelled_features(self.store, self.feature_set, table, streams, author_fraction=fraction)
        recipe = {**vars(self.recipe), "config": vars(self.recipe.config)}
        # With the version of the code: another version may train another model from the same data.
        parts = [statistics_of(data).data_hash, about, self.feature_set.fingerprint, recipe, seed, fraction]
        return hashlib.sha256(json.dumps([*parts, viral.__version__], sort_keys=True).encode()).hexdigest()[:16]

    def _exists(self, model: str) -> bool:
        try:
            Registry(self.store).load(model)
        except TableError:
            return False
        return True

    def _train(self, experiment: Experiment) -> str:
        store, recipe, name = self.store, self.recipe, experiment.model_name(self.recipe.kind)
        data, seed, fraction = (self.feature_set, experiment.label_table), experiment.seed, experiment.author_fraction
        if recipe.kind == STACKED:
            members = train_stacked.train_members(store, name, *data, seed=seed, author_fraction=fraction)
            return train_stacked.run(store, StackedSpec(name, members)).model
        if recipe.kind == ENSEMBLE:
            trees = EnsembleSpec(name, *data, recipe.members, seed=seed, author_fraction=fraction)
            return train_ensemble.run(store, trees).model
        modality = None if recipe.kind == FUSION else recipe.kind
        network = TrainSpec(name, *data, recipe.workers, modality=modality, author_fraction=fraction)
        return train_network.run(store, network, replace(recipe.config, seed=seed)).model
