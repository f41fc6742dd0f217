"""The steps of a study: label, train, judge. What is done for the same data is not done again."""

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
"""The models that can be studied: those of feature tables."""


@dataclass(frozen=True)
class Recipe:
    """How the studied model is trained: its kind, and what that kind takes."""

    kind: str = ENSEMBLE
    members: tuple[str, ...] = tuple(MEMBERS)
    config: TrainConfig = field(default_factory=TrainConfig)
    workers: Workers = 2


@dataclass(frozen=True)
class Cell:
    """One model of a study: what it learns, how the posts are divided, and what it is shown of them."""

    label: LabelSpec
    split: SplitSpec
    seed: int = 0
    share: float = 1.0

    @property
    def table(self) -> str:
        """Its label table."""
        gap = f"-gap{self.split.gap_days:g}" if self.split.gap_days else ""
        return f"{self.label.definition}-{self.split.kind}{gap}"

    def model(self, kind: str) -> str:
        """What its model is called."""
        seed = f"-seed{self.seed}" if self.seed else ""
        share = f"-share{100 * self.share:g}" if self.share < 1 else ""
        return f"{self.table}-{kind}{seed}{share}"


@dataclass
class Steps:
    """The models of one study, each trained and judged once. Call them within a session.

    Attributes:
        store: the root.
        place: the study's folder.
        feature_set: what the models see.
        recipe: how they are trained.
        resamples: of the bootstraps.
        reused: how many of them were there already.
    """

    store: Store
    place: str
    feature_set: FeatureSet
    recipe: Recipe
    resamples: int
    reused: int = 0
    labelled: set[str] = field(default_factory=set)

    def judged(self, cell: Cell) -> tuple[Report, str]:
        """The whole scorecard of a cell's model, and where its page lies from the study's folder.

        Raises:
            TableError, ConfigError: the posts cannot be divided so, or too little is left to learn from.
        """
        self._label(cell)
        model = self._trained(cell)
        copy = f"scorecards/{model.replace('/', '-')}"
        card = read_json(self.store, f"{self.place}/{copy}.json")
        if card and card["settings"]["resamples"] == self.resamples:
            self.reused += 1
            return Report.model_validate(card), f"{copy}.html"
        evaluate.run(self.store, model, resamples=self.resamples)
        name, version = model.split("/")
        for ending in ("html", "json"):  # the JSON last: it says that the copy is whole
            whole = self.store.read(Registry.key(name, int(version), f"scorecard.{ending}"))
            self.store.write(f"{self.place}/{copy}.{ending}", whole)
        return Report.model_validate_json(whole), f"{copy}.html"

    def _label(self, cell: Cell) -> None:
        """Made anew by each run, which takes seconds: the same posts give the same labels."""
        if cell.table not in self.labelled:
            label.run(self.store, cell.label, cell.split, name=cell.table)
            self.labelled.add(cell.table)

    def _trained(self, cell: Cell) -> str:
        """The cell's model, `name/version`: the one that it was given before, if all that it is made of is the same."""
        note, identity = f"{self.place}/models/{cell.model(self.recipe.kind)}.json", self._identity(cell)
        found = read_json(self.store, note)
        if found and found["identity"] == identity and self._is_there(found["model"]):
            return str(found["model"])
        model = self._train(cell)
        self.store.write(note, json.dumps({"identity": identity, "model": model}).encode())
        return model

    def _identity(self, cell: Cell) -> str:
        """A hash of data, labels and settings."""
        streams = streams_of(self.feature_set)
        data, about = labelled_features(self.store, self.feature_set, cell.table, streams, share=cell.share)
        recipe = {**vars(self.recipe), "config": vars(self.recipe.config)}
        parts = [statistics_of(data).data_hash, about, self.feature_set.fingerprint, recipe, cell.seed, cell.share]
        return hashlib.sha256(json.dumps([*parts, viral.__version__], sort_keys=True).encode()).hexdigest()[:16]

    def _is_there(self, model: str) -> bool:
        try:
            Registry(self.store).load(model)
        except TableError:
            return False
        return True

    def _train(self, cell: Cell) -> str:
        store, recipe, name = self.store, self.recipe, cell.model(self.recipe.kind)
        what = (self.feature_set, cell.table)
        if recipe.kind == STACKED:
            members = train_stacked.train_members(store, name, *what, seed=cell.seed, share=cell.share)
            return train_stacked.run(store, StackedSpec(name, members)).model
        if recipe.kind == ENSEMBLE:
            trees = EnsembleSpec(name, *what, recipe.members, seed=cell.seed, share=cell.share)
            return train_ensemble.run(store, trees).model
        modality = None if recipe.kind == FUSION else recipe.kind
        network = TrainSpec(name, *what, recipe.workers, modality=modality, share=cell.share)
        return train_network.run(store, network, replace(recipe.config, seed=cell.seed)).model
