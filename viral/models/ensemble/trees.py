"""Tree members of an ensemble: forests and boosted trees, grown by LightGBM and stored in its text format.

Source: Ke et al. 2017 (LightGBM), Breiman 2001 (forests), Koenker & Bassett 1978 (the quantile loss).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from viral.datasets.streams import Batch
from viral.models.ensemble.member import Arrays, interval_around, log_loss, residual_spread, squared_loss
from viral.models.ensemble.rows import LabelledBatch, Layout, Matrix, RowSource
from viral.models.predictions import Floats, PredictionBatch

MAX_ROWS = 2_000_000  # at one byte per value and 3,000 columns: 6 GB
TRIALS, AVERAGED = 10, 5  # random settings to try; the best half is averaged
SEARCH_SPACE: Mapping[str, tuple[float, ...]] = {
    "num_leaves": (4, 7, 15, 31, 63),
    "learning_rate": (0.03, 0.06, 0.1),
    "min_data_in_leaf": (5, 10, 20, 50, 100),
    "feature_fraction": (0.1, 0.3, 0.6, 1.0),
    "bagging_fraction": (0.6, 0.8, 1.0),
    "lambda_l2": (0.0, 1.0, 10.0, 30.0),
}
"""Candidate settings of boosting: around LightGBM's defaults, and towards stronger regularisation."""
# 0.632 is the expected fraction of distinct posts in a bootstrap sample.
FOREST = {"boosting": "rf", "objective": "regression", "bagging_freq": 1, "bagging_fraction": 0.632}
MAX_TREES = 1000  # an upper bound: early stopping decides
FOREST_TREES, FOREST_LEAVES = 200, 255  # more or deeper trees hardly change the mean of a forest


class _Trees:
    """Boosters in LightGBM's text format, by name."""

    texts: Mapping[str, str]

    @cached_property
    def boosters(self) -> dict[str, Any]:
        """Loaded boosters, by name."""
        return {name: _booster(text) for name, text in self.texts.items()}


@dataclass(frozen=True)
class Boosting(_Trees):
    """Gradient boosting: `viral`, `middle` (squared error), `low` and `high` (quantile loss).

    The first two are averages of several boosters, best first (`viral.0`, `middle.0`): an average depends less on the
    sampling error of the validation posts, which select the settings and stop the boosting.
    """

    max_rows: ClassVar[int] = MAX_ROWS
    distributed: ClassVar[bool] = True

    texts: Mapping[str, str]

    @classmethod
    def fit(cls, layout: Layout, train: RowSource, validation: LabelledBatch, seed: int) -> tuple[Self, dict[str, Any]]:
        """Average the best of several random settings; the interval uses the best settings of `middle`."""
        from viral.models.ensemble.binned import BinnedPosts
        from viral.models.fusion_config import QUANTILES

        posts, x = BinnedPosts(layout, train, validation, seed), layout.with_nan(validation.batch)
        # The same trials for both targets; each target keeps its own best half.
        trials = list(draw_settings(seed, TRIALS))
        viral = [posts.grow("viral", MAX_TREES, objective="binary", **settings) for settings in trials]
        middle = [posts.grow("score", MAX_TREES, objective="regression", **settings) for settings in trials]
        viral_losses = [log_loss(_predict(_booster(text), x), validation.viral) for text in viral]
        middle_losses = [squared_loss(_predict(_booster(text), x), validation.score) for text in middle]
        best_viral, best_middle = np.argsort(viral_losses)[:AVERAGED], np.argsort(middle_losses)[:AVERAGED]
        texts = {f"viral.{rank}": viral[trial] for rank, trial in enumerate(best_viral)}
        texts |= {f"middle.{rank}": middle[trial] for rank, trial in enumerate(best_middle)}
        for name, alpha in (("low", QUANTILES[0]), ("high", QUANTILES[2])):
            # Not searched for: the settings of the best median serve for the ends, too.
            texts[name] = posts.grow("score", MAX_TREES, objective="quantile", alpha=alpha, **trials[best_middle[0]])
        member = cls(texts)
        return member, {
            "viral": [trials[trial] for trial in best_viral],
            "score": [trials[trial] for trial in best_middle],
            "trees": {name: booster.num_trees() for name, booster in member.boosters.items()},
        }

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> Self:
        """Restore from `to_arrays`."""
        return cls({name: _text(array) for name, array in arrays.items()})

    def to_arrays(self) -> Arrays:
        """Return LightGBM's text as bytes."""
        return {name: _bytes(text) for name, text in self.texts.items()}

    def __call__(self, layout: Layout, batch: Batch) -> PredictionBatch:
        """Predict; where the quantiles cross, the interval is extended to the middle."""
        x = layout.with_nan(batch)
        viral, low, middle, high = (self._mean(name, x) for name in ("viral", "low", "middle", "high"))
        return PredictionBatch(viral, middle, np.minimum(low, middle), np.maximum(high, middle))

    def contributions(self, layout: Layout, batch: Batch) -> Floats:
        """Return the TreeSHAP values of the columns for the score, then the expected value: (N, columns + 1)."""
        x = layout.with_nan(batch)
        return np.asarray(np.mean([_shap(self.boosters[name], x) for name in self._named("middle")], axis=0))

    def _mean(self, group: str, x: Matrix) -> Floats:
        return np.asarray(np.mean([_predict(self.boosters[name], x) for name in self._named(group)], axis=0))

    def _named(self, group: str) -> list[str]:
        # Sorted: a file returns them in any order, and the last bit of a sum depends on the order.
        return [name for name in sorted(self.texts) if name.partition(".")[0] == group]


@dataclass(frozen=True)
class Forest(_Trees):
    """Random forests for P(viral), as the mean frequency of viral posts in the leaves, and for the score."""

    max_rows: ClassVar[int] = MAX_ROWS
    distributed: ClassVar[bool] = True

    texts: Mapping[str, str]
    spread: Floats

    @classmethod
    def fit(cls, layout: Layout, train: RowSource, validation: LabelledBatch, seed: int) -> tuple[Self, dict[str, Any]]:
        """Grow `FOREST_TREES` deep trees for each target; nothing is tuned."""
        from viral.models.ensemble.binned import BinnedPosts

        posts, x = BinnedPosts(layout, train, validation, seed), layout.with_nan(validation.batch)
        # Splits try about 60 columns: a tenth of hundreds, most of twenty.
        fraction = float(np.clip(60 / x.shape[1], 0.1, 0.6))
        settings = {**FOREST, "num_leaves": FOREST_LEAVES, "feature_fraction_bynode": fraction}
        texts = {
            "viral": posts.grow("viral", FOREST_TREES, **settings),
            "middle": posts.grow("score", FOREST_TREES, **settings),
        }
        member = cls(texts, residual_spread(_predict(_booster(texts["middle"]), x), validation.score))
        return member, {"leaves": FOREST_LEAVES, "trees": FOREST_TREES, "columns_a_split": fraction}

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> Self:
        """Restore from `to_arrays`."""
        return cls({name: _text(array) for name, array in arrays.items() if name != "spread"}, arrays["spread"])

    def to_arrays(self) -> Arrays:
        """Return LightGBM's text as bytes, and the spread."""
        return {"spread": self.spread, **{name: _bytes(text) for name, text in self.texts.items()}}

    def __call__(self, layout: Layout, batch: Batch) -> PredictionBatch:
        """Predict."""
        x = layout.with_nan(batch)
        probability = np.clip(_predict(self.boosters["viral"], x), 0, 1)
        return interval_around(probability, _predict(self.boosters["middle"], x), self.spread)

    def contributions(self, layout: Layout, batch: Batch) -> Floats:
        """Return the TreeSHAP values of the columns for the score, then the expected value: (N, columns + 1)."""
        # A forest predicts the mean of its trees, but LightGBM sums their SHAP values.
        return np.asarray(_shap(self.boosters["middle"], layout.with_nan(batch)) / self.boosters["middle"].num_trees())


def draw_settings(seed: int, count: int) -> Iterator[dict[str, Any]]:
    """Draw `count` settings from `SEARCH_SPACE`."""
    rng = np.random.default_rng(seed)
    for _ in range(count):
        yield {name: rng.choice(values).item() for name, values in SEARCH_SPACE.items()} | {"bagging_freq": 1}


def _booster(text: str) -> Any:
    import lightgbm

    return lightgbm.Booster(model_str=text)


def _predict(booster: Any, x: Matrix) -> Floats:
    return np.asarray(booster.predict(x, num_threads=1))  # a block of posts is too small for several threads


def _shap(booster: Any, x: Matrix) -> Floats:
    """TreeSHAP (Lundberg et al. 2020), by LightGBM."""
    return np.asarray(booster.predict(x, num_threads=1, pred_contrib=True))


def _bytes(text: str) -> npt.NDArray[np.uint8]:
    # safetensors holds arrays only.
    return np.frombuffer(text.encode(), np.uint8)


def _text(array: npt.NDArray[Any]) -> str:
    return array.astype(np.uint8).tobytes().decode()
