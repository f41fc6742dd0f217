"""The models in service in one replica, each followed to its newest champion."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property, partial
from http import HTTPStatus
from typing import Any, Generic, TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from serve.champion import ChampionWatcher, champion_name
from serve.errors import ApiError
from serve.schemas import ModelInfo
from serve.settings import EndpointSpec
from serve.together import Together
from viral.datasets.streams import Batch
from viral.extractors.feature_set import FeatureSet
from viral.registry.registry import ModelVersion, Registry
from viral.scoring.scorer import Score, Scorer, feature_set_of
from viral.storage.store import Store

T = TypeVar("T")

ARROW_COLUMNS = {
    **dict.fromkeys(("probability", "percentile", "score", "low", "high"), pa.float64()),
    "known": pa.bool_(),
}
"""Columns of an answer in Arrow form; `known` is `Score.in_distribution`."""

VERSIONS = 2  # per model: requests in flight still use the version before a promotion


@dataclass(frozen=True)
class LoadedModel:
    """A model that scores, and the feature set of its vectors."""

    scorer: Scorer
    feature_set: FeatureSet

    @cached_property
    def together(self) -> Together:
        """Scores the few vectors of concurrent requests as one batch."""
        return Together(self.score)

    @classmethod
    def load(cls, saved: ModelVersion) -> LoadedModel:
        """Load the weights too, so that a model that cannot score is never put into service."""
        loaded = cls(Scorer(saved, numpy=True), feature_set_of(saved))
        if torch := sys.modules.get("torch"):  # most models need none of its 450 MB
            torch.set_num_threads(1)  # replicas share a node's cores
        return loaded

    @property
    def name(self) -> str:
        """`name/version`."""
        return str(self.scorer.saved)

    def score_columns(self, batch: Batch) -> dict[str, pa.Array]:
        """Score N posts as columns of `ARROW_COLUMNS`; null for a post without any input of the model."""
        usable = np.asarray(batch.present.any(axis=1))
        columns: dict[str, pa.Array] = {}
        if not usable.any():
            return {name: pa.nulls(len(usable), kind) for name, kind in ARROW_COLUMNS.items()}
        predictions, known = self.scorer.score_columns(batch if usable.all() else batch.take(np.flatnonzero(usable)))
        for name, kind in ARROW_COLUMNS.items():
            values = known if name == "known" else getattr(predictions, name)
            columns[name] = pa.nulls(len(usable), kind) if values is None else _spread(values, usable, kind)
        return columns

    def score(self, batch: Batch) -> list[Score | None]:
        """Score N posts; None for a post without any input of the model."""
        scores: list[Score | None] = [None] * len(batch.present)
        usable = np.flatnonzero(batch.present.any(axis=1))
        for row, score in zip(usable, self.scorer.score_batch(batch.take(usable)), strict=True):
            scores[row] = score
        return scores


def _spread(values: npt.NDArray[Any], usable: npt.NDArray[np.bool_], kind: pa.DataType) -> pa.Array:
    """Place the values of the usable rows in a column of all rows; NaN is null too."""
    column = np.zeros(len(usable), values.dtype)
    column[usable] = values
    return pa.array(column, kind, mask=~usable | np.isnan(column))


class ModelCache(Generic[T]):
    """What a replica holds for each model: the current version of every reference, and the one before it.

    Args:
        spec: the models.
        load: makes what the replica holds from a saved model.

    Raises:
        TableError: no such model. Also what `load` raises if no version can be loaded.
    """

    def __init__(self, spec: EndpointSpec, load: Callable[[ModelVersion], T]) -> None:
        self._store, self._load = Store(spec.root), load
        self._held: dict[str, T] = {}
        self._limit = VERSIONS * len(spec.models)
        self.current: dict[str, str] = {}  # name/version by reference
        for reference in spec.models:
            watcher = ChampionWatcher(self._store, reference, partial(self._put, reference))
            watcher.load_current()
            watcher.start(spec.settings.serve.follow_seconds)

    def _put(self, reference: str, saved: ModelVersion) -> None:
        if str(saved) not in self._held:
            self._hold(str(saved), self._load(saved))
        self.current = {**self.current, reference: str(saved)}

    def _hold(self, name: str, value: T) -> None:
        self._held[name] = value
        while len(self._held) > self._limit:
            old = next(held for held in self._held if held not in self.current.values() and held != name)
            del self._held[old]

    def find(self, name: str | None) -> T:
        """Return what is held for `NAME`, `NAME/VERSION` or `NAME@champion`; None: the first model.

        Raises:
            ApiError: the endpoint does not serve it.
        """
        held = self._held.get(self._version(name))
        if held is None:
            served = ", ".join(dict.fromkeys([*self.current, *self.current.values()]))
            raise ApiError(
                HTTPStatus.NOT_FOUND, "unknown_model", f"the endpoint does not serve that model; it serves {served}"
            )
        return held

    def _version(self, name: str | None) -> str:
        if name is None:
            return next(iter(self.current.values()))
        if name in self.current:
            return self.current[name]
        by_name = {(champion_name(reference) or reference.partition("/")[0]): reference for reference in self.current}
        return self.current[by_name[name]] if name in by_name else name

    async def version(self, name: str) -> T:
        """Return what is held for a version, which another replica may have loaded before this one."""
        if name not in self._held:
            saved = await asyncio.to_thread(Registry(self._store).load, name)
            value = await asyncio.to_thread(self._load, saved)
            self._hold(name, value)
        return self._held[name]

    def __iter__(self) -> Iterator[T]:
        """Iterate over what is held for the current version of each reference."""
        for name in dict.fromkeys(self.current.values()):
            with suppress(KeyError):
                yield self._held[name]


def model_infos(models: ModelCache[LoadedModel]) -> list[ModelInfo]:
    """Describe the models in service; the first is the default."""
    infos: list[ModelInfo] = []
    for model in models:
        card: dict[str, Any] = model.scorer.saved.card
        inputs = {stream.name: stream.dim for stream in model.scorer.streams}
        info = ModelInfo(
            name=model.name,
            label=card["label"]["spec"]["definition"],
            feature_set=f"{model.feature_set.name}-{model.feature_set.fingerprint}",
            inputs=inputs,
            default=not infos,
        )
        infos.append(info)
    return infos
