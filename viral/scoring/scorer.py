"""The only place where features meet a model. Batch, endpoint and command line all score through it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from viral.datasets.streams import Batch, Stream, from_dict, from_vectors
from viral.errors import TableError, UsageError
from viral.extractors.extractor import Vector
from viral.extractors.feature_set import FeatureSet
from viral.models.predictions import PredictionBatch
from viral.models.predictor import load
from viral.registry.registry import Registry, Saved
from viral.scoring.calibration import Calibration
from viral.scoring.pair_residuals import PairResiduals
from viral.scoring.reference import Reference
from viral.storage.store import Store, read_json
from viral.weights.resolve import resolve_local
from viral.weights.root import RootWeights

RATES = ("likes", "comments", "shares")
BLOCK = 64  # posts that go through the network at once, always: so a post's score never depends on its neighbours


CALIBRATION = "calibration.json"
"""The file beside a model's weights that says how its words are corrected; written last of what belongs to that."""

UNKNOWN = "unlike anything that the model was trained on: its probability is the average's, its interval that of all"
UNCALIBRATED = "not calibrated: `viral evaluate` does it, once the validation posts have features"


@dataclass(frozen=True)
class Score:
    """What a model says of one post.

    `probability` is calibrated; `percentile` says how many of 100 reference posts the model holds for less probable.
    `score` is the median of the label (in `label`'s units), and `low` to `high` its conformal 90 % interval. Where a
    post is not `known`, being unlike all training posts, there is no percentile and no bold claim. All three are as the
    model itself says, and `known` and `percentile` None, where it is not calibrated.

    `rates` are log rates of likes, comments and shares to views, empty where the model knows none; `modalities` gives
    each present modality's share of the prediction, summing to one; `notes` says what its reader must know (random
    weights, say). `relative_to_author` compares with the author's earlier posts, where they were given.
    """

    probability: float
    score: float
    low: float
    high: float
    rates: Mapping[str, float]
    modalities: Mapping[str, float]
    missing: tuple[str, ...]
    label: str
    model: str
    notes: tuple[str, ...] = ()
    percentile: float | None = None
    in_distribution: bool | None = None
    relative_to_author: Mapping[str, float] | None = None

    def to_dict(self) -> dict[str, Any]:
        """Convert to JSON: `low` and `high` become `interval`, `in_distribution` becomes `known`."""
        renamed = {"in_distribution": "known"}
        names = [field.name for field in fields(self) if field.name not in ("low", "high")]
        return {renamed.get(name, name): getattr(self, name) for name in names} | {
            "interval": [self.low, self.high],
            "rates": dict(self.rates),
            "modalities": dict(self.modalities),
            "missing": list(self.missing),
            "notes": list(self.notes),
            "relative_to_author": None if self.relative_to_author is None else dict(self.relative_to_author),
        }


def feature_set_of(saved: Saved) -> FeatureSet:
    """The feature set that a model was trained on; weights that belong to the model are read from its store.

    Raises:
        ConfigError: this version of viral would make other vectors.
    """
    resolve = RootWeights(saved.store) if saved.store else resolve_local
    return FeatureSet.from_dict(saved.card["feature_set"], resolve=resolve)


class Scorer:
    """A saved model, ready to score.

    Args:
        saved: the model; its card names the feature set it was trained on.
        raw: leave its words as they are, to learn from them how to calibrate it.
    """

    def __init__(self, saved: Saved, *, raw: bool = False) -> None:
        self.saved = saved
        self.streams: tuple[Stream, ...] = from_dict(saved.card["config"]["streams"])
        self.label: str = saved.card["label"]["spec"]["definition"]
        self.notes = tuple(saved.card.get("notes", ()))
        self.predictor = load(saved)
        self.calibration, self.reference = (None, None) if raw else _calibrated(saved)
        if not raw and saved.store and self.calibration is None:
            self.notes += (UNCALIBRATED,)

    @classmethod
    def load(cls, store: Store, reference: str) -> Scorer:
        """The scorer of a model in the store's registry, by `name`, `name/version` or `name@champion`."""
        return cls(Registry(store).load(reference))

    @property
    def feature_set(self) -> FeatureSet:
        """The feature set that its vectors must come from."""
        return feature_set_of(self.saved)

    @property
    def pair_residuals(self) -> PairResiduals | None:
        """How far the difference between two posts may be from that between their scores; None if not calibrated."""
        return self.calibration.gaps if self.calibration else None

    def check(self, feature_set: FeatureSet) -> None:
        """Refuse vectors of another feature set.

        Raises:
            TableError: it is another.
        """
        expected = self.saved.card["feature_set"]["fingerprint"]
        if feature_set.fingerprint != expected:
            name = self.saved.card["feature_set"]["name"]
            raise TableError(
                f"model {self.saved} was trained on feature set {name}-{expected}, not on "
                f"{feature_set.name}-{feature_set.fingerprint}: backfill and score with {name}"
            )

    def score(self, rows: Sequence[Mapping[str, Vector | None]]) -> list[Score]:
        """Score posts by their vectors, extractor by extractor.

        Raises:
            UsageError: a post has nothing at all to be scored from.
        """
        return self.score_batch(from_vectors(self.streams, rows)) if rows else []

    def score_batch(self, batch: Batch) -> list[Score]:
        """Score posts that are arrays already. Raises as `score` does."""
        if not batch.present.any(axis=1).all():
            names = ", ".join(self._names())
            raise UsageError(f"there is nothing to score: a post needs at least one of {names}")
        if not len(batch.present):
            return []
        said = self.said(batch)
        known = None if self.reference is None else self.reference.in_distribution(self.streams, batch)
        return [
            self._scored(said, batch.present, None if known is None else bool(known[row]), row)
            for row in range(len(batch.present))
        ]

    def said(self, batch: Batch) -> PredictionBatch:
        """What the model says of posts (N,), calibrated, each of which has something; in blocks, as all scoring is."""
        count = len(batch.present)
        blocks = []
        for start in range(0, count, BLOCK):
            # What fills the last block says nothing.
            rows = np.minimum(np.arange(start, start + BLOCK), count - 1)
            blocks.append(self.predictor(batch.take(rows)))
        return self._corrected(_joined(blocks, count))

    def _corrected(self, said: PredictionBatch) -> PredictionBatch:
        if self.calibration is None:
            return said
        return PredictionBatch.from_quantiles(
            self.calibration.probability(said.probability),
            self.calibration.quantiles(said.quantiles),
            contributions=said.contributions,
            rates=said.rates,
            percentile=self.calibration.percentile(said.probability),
        )

    def _scored(self, said: PredictionBatch, present: npt.NDArray[np.bool_], known: bool | None, row: int) -> Score:
        assert said.contributions is not None, "every predictor gives them"
        assert said.low is not None, "every predictor gives an interval"
        assert said.high is not None, "every predictor gives an interval"
        shares = dict.fromkeys(self._names(), 0.0)
        for stream, share in zip(self.streams, said.contributions[row], strict=True):
            shares[stream.modality] += float(share)
        there = {stream.modality for stream, here in zip(self.streams, present[row], strict=True) if here}
        scored = Score(
            probability=float(said.probability[row]),
            score=float(said.score[row]),
            low=float(said.low[row]),
            high=float(said.high[row]),
            rates={} if said.rates is None else dict(zip(RATES, map(float, said.rates[row]), strict=True)),
            modalities={name: share for name, share in shares.items() if name in there},
            missing=tuple(name for name in shares if name not in there),
            label=self.label,
            model=str(self.saved),
            notes=self.notes,
            percentile=None if said.percentile is None else float(said.percentile[row]),
            in_distribution=known,
        )
        return self._abstain(scored) if known is False else scored

    def _abstain(self, scored: Score) -> Score:
        """Of a post that is unlike anything known: no more than what holds for any post."""
        assert self.calibration is not None, "without it nothing is known or not known"
        low, high = self.calibration.spread
        return replace(
            scored,
            probability=self.calibration.base_rate,
            low=min(scored.low, low),
            high=max(scored.high, high),
            percentile=None,
            notes=(*scored.notes, UNKNOWN),
        )

    def _names(self) -> list[str]:
        return list(dict.fromkeys(stream.modality for stream in self.streams))


def _joined(blocks: Sequence[PredictionBatch], count: int) -> PredictionBatch:
    """Concatenate the blocks, without the rows that fill up the last one."""
    columns = {field.name: [getattr(block, field.name) for block in blocks] for field in fields(PredictionBatch)}
    return PredictionBatch(
        **{name: None if column[0] is None else np.concatenate(column)[:count] for name, column in columns.items()}
    )


def _calibrated(saved: Saved) -> tuple[Calibration | None, Reference | None]:
    if saved.store is None:
        return None, None
    stored = read_json(saved.store, Registry.key(saved.name, saved.version, CALIBRATION))
    if stored is None:
        return None, None
    return Calibration.from_dict(stored), Reference.load(saved.store, saved.place)
