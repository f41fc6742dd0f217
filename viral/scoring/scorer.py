"""Score posts with a saved model. Batch jobs, the endpoint and the command line all score through `Scorer`."""

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
from viral.models.predictor import BLOCK, load
from viral.registry.registry import ModelVersion, Registry
from viral.scoring.calibration import Calibration
from viral.scoring.pair_residuals import PairResiduals
from viral.scoring.reference import Reference
from viral.storage.store import Store, read_json
from viral.weights.resolve import resolve_local
from viral.weights.root import RootWeights

RATES = ("likes", "comments", "shares")

CALIBRATION = "calibration.json"
"""File beside a model's weights that holds its `Calibration`; written after the reference posts."""

UNKNOWN = "unlike anything that the model was trained on: its probability is the average's, its interval that of all"
UNCALIBRATED = "not calibrated: `viral evaluate` does it, once the validation posts have features"


@dataclass(frozen=True)
class Score:
    """Prediction of a model for one post.

    Attributes:
        probability: that the post is viral, calibrated.
        score: median of the label, in the units of `label`.
        low: lower end of the 90 % conformal interval of `score`; `high` is the upper end.
        rates: log rates of likes, comments and shares per view; empty if the model does not predict them.
        modalities: contribution of each present modality, summing to 1; `missing` names the others.
        notes: caveats for the reader, such as random weights.
        percentile: rank of the probability among the reference posts, 0 to 100; None if the model is not calibrated or
            the post is out of distribution.
        in_distribution: whether the post is like the training posts; None if the model is not calibrated. If False,
            `probability` is the base rate and the interval is at least as wide as that of all training posts.
        relative_to_author: comparison with the author's earlier posts, if their views were given.
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


def feature_set_of(saved: ModelVersion) -> FeatureSet:
    """Return the feature set that a model was trained on. Raises ConfigError if this version of viral has none such."""
    resolve = RootWeights(saved.store) if saved.store else resolve_local
    return FeatureSet.from_dict(saved.card["feature_set"], resolve=resolve)


class Scorer:
    """A saved model, loaded for scoring.

    Args:
        saved: the model; its card names the feature set it was trained on.
        raw: do not calibrate the predictions; used to fit the calibration.
        numpy: compute a gated network in numpy, as the endpoint does: quicker, and the same up to rounding.
    """

    def __init__(self, saved: ModelVersion, *, raw: bool = False, numpy: bool = False) -> None:
        self.saved = saved
        self.streams: tuple[Stream, ...] = from_dict(saved.card["config"]["streams"])
        self.label: str = saved.card["label"]["spec"]["definition"]
        self.notes = tuple(saved.card.get("notes", ()))
        self._modalities = tuple(dict.fromkeys(stream.modality for stream in self.streams))
        self.predictor = load(saved, numpy=numpy)
        self.calibration, self.reference = (None, None) if raw else _load_calibration(saved)
        # In every answer, since its probability and interval are the network's own.
        if not raw and saved.store and self.calibration is None:
            self.notes += (UNCALIBRATED,)

    @classmethod
    def load(cls, store: Store, reference: str, *, numpy: bool = False) -> Scorer:
        """Load a model from the store's registry by `name`, `name/version` or `name@champion`."""
        return cls(Registry(store).load(reference), numpy=numpy)

    @property
    def feature_set(self) -> FeatureSet:
        """Feature set that the vectors must come from."""
        return feature_set_of(self.saved)

    @property
    def pair_residuals(self) -> PairResiduals | None:
        """Residuals of pairs of posts, for intervals of score differences; None if the model is not calibrated."""
        return self.calibration.pair_residuals if self.calibration else None

    def check(self, feature_set: FeatureSet) -> None:
        """Check that vectors come from the feature set of the model.

        Raises:
            TableError: they come from another one.
        """
        expected = self.saved.card["feature_set"]["fingerprint"]
        if feature_set.fingerprint != expected:
            name = self.saved.card["feature_set"]["name"]
            raise TableError(
                f"model {self.saved} was trained on feature set {name}-{expected}, not on "
                f"{feature_set.name}-{feature_set.fingerprint}: backfill and score with {name}"
            )

    def score(self, rows: Sequence[Mapping[str, Vector | None]]) -> list[Score]:
        """Score posts, each given as a vector per extractor.

        Raises:
            UsageError: a post has none of the model's inputs.
        """
        return self.score_batch(from_vectors(self.streams, rows)) if rows else []

    def score_batch(self, batch: Batch) -> list[Score]:
        """Score a batch of posts. Raises as `score` does."""
        if not len(batch.present):
            return []
        predictions, in_distribution = self.score_columns(batch)
        return [
            self._score(
                predictions, batch.present, None if in_distribution is None else bool(in_distribution[row]), row
            )
            for row in range(len(batch.present))
        ]

    def score_columns(self, batch: Batch) -> tuple[PredictionBatch, npt.NDArray[np.bool_] | None]:
        """Score one or more posts as arrays: what `score_batch` returns, without an object per post.

        Returns:
            The predictions, with NaN as `percentile` of posts out of distribution, and which posts are in distribution;
            None if the model is not calibrated.

        Raises:
            UsageError: a post has none of the model's inputs.
        """
        if not batch.present.any(axis=1).all():
            raise UsageError(f"there is nothing to score: a post needs at least one of {', '.join(self._modalities)}")
        predictions = self.predict(batch)
        if self.reference is None:
            return predictions, None
        in_distribution = self.reference.in_distribution(self.streams, batch)
        return self._abstain(predictions, ~in_distribution), in_distribution

    def predict(self, batch: Batch) -> PredictionBatch:
        """Return calibrated predictions for N posts, each with at least one stream, computed in blocks of `BLOCK`."""
        count, multiple = len(batch.present), self.predictor.row_multiple
        blocks = []
        for start in range(0, count, BLOCK):
            end = min(start + BLOCK, -(-count // multiple) * multiple)
            rows = np.minimum(np.arange(start, end), count - 1)  # the last post pads the last block
            blocks.append(self.predictor(batch if end - start == count else batch.take(rows)))
        return self._calibrate(_concat(blocks, count))

    def _calibrate(self, raw: PredictionBatch) -> PredictionBatch:
        if self.calibration is None:
            return raw
        return PredictionBatch.from_quantiles(
            self.calibration.probability(raw.probability),
            self.calibration.quantiles(raw.quantiles),
            contributions=raw.contributions,
            rates=raw.rates,
            percentile=self.calibration.percentile(raw.probability),
        )

    def _score(
        self, batch: PredictionBatch, present: npt.NDArray[np.bool_], in_distribution: bool | None, row: int
    ) -> Score:
        assert batch.contributions is not None, "every predictor gives them"
        assert batch.low is not None and batch.high is not None, "every predictor gives an interval"
        contributions = dict.fromkeys(self._modalities, 0.0)
        for stream, contribution in zip(self.streams, batch.contributions[row], strict=True):
            contributions[stream.modality] += float(contribution)
        # A modality counts as given if any of its inputs is.
        available = {stream.modality for stream, given in zip(self.streams, present[row], strict=True) if given}
        return Score(
            probability=float(batch.probability[row]),
            score=float(batch.score[row]),
            low=float(batch.low[row]),
            high=float(batch.high[row]),
            rates={} if batch.rates is None else dict(zip(RATES, map(float, batch.rates[row]), strict=True)),
            modalities={name: value for name, value in contributions.items() if name in available},
            missing=tuple(name for name in contributions if name not in available),
            label=self.label,
            model=str(self.saved),
            notes=(*self.notes, UNKNOWN) if in_distribution is False else self.notes,
            percentile=None if batch.percentile is None or in_distribution is False else float(batch.percentile[row]),
            in_distribution=in_distribution,
        )

    def _abstain(self, batch: PredictionBatch, novel: npt.NDArray[np.bool_]) -> PredictionBatch:
        """Replace the predictions for out-of-distribution posts (N,) by what holds for any post."""
        assert self.calibration is not None, "only a calibrated model has reference posts"
        assert batch.low is not None and batch.high is not None and batch.percentile is not None
        low, high = self.calibration.spread
        return replace(
            batch,
            probability=np.where(novel, self.calibration.base_rate, batch.probability),
            # The interval only grows: the model's own may be wider still.
            low=np.where(novel, np.minimum(batch.low, low), batch.low),
            high=np.where(novel, np.maximum(batch.high, high), batch.high),
            percentile=np.where(novel, np.nan, batch.percentile),
        )


def _concat(blocks: Sequence[PredictionBatch], count: int) -> PredictionBatch:
    """Concatenate the blocks, without the padding of the last one."""
    columns: dict[str, Any] = {}
    for field in fields(PredictionBatch):
        arrays = [getattr(block, field.name) for block in blocks]
        columns[field.name] = None if arrays[0] is None else np.concatenate(arrays)[:count]
    return PredictionBatch(**columns)


def _load_calibration(saved: ModelVersion) -> tuple[Calibration | None, Reference | None]:
    if saved.store is None:
        return None, None
    stored = read_json(saved.store, Registry.key(saved.name, saved.version, CALIBRATION))
    if stored is None:
        return None, None
    return Calibration.from_dict(stored), Reference.load(saved.store, saved.prefix)
