"""Forests and boosted trees, both grown by LightGBM and kept in its own text format.

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
from viral.models.ensemble.member import Floats, Tensors, around, log_loss, spread_of, squared_loss
from viral.models.ensemble.rows import Layout, Matrix, Rows, Source
from viral.models.predictions import PredictionBatch

ROWS = 2_000_000  # in bins a byte a value: at 3,000 columns 6 GB
TRIALS, KEPT = 10, 5
SEARCHED: Mapping[str, tuple[float, ...]] = {
    "num_leaves": (4, 7, 15, 31, 63),
    "learning_rate": (0.03, 0.06, 0.1),
    "min_data_in_leaf": (5, 10, 20, 50, 100),
    "feature_fraction": (0.1, 0.3, 0.6, 1.0),
    "bagging_fraction": (0.6, 0.8, 1.0),
    "lambda_l2": (0.0, 1.0, 10.0, 30.0),
}
"""What boosting is tuned over: `TRIALS` settings are drawn at random, and the `KEPT` best are averaged."""
FOREST = {"boosting": "rf", "objective": "regression", "bagging_freq": 1, "bagging_fraction": 0.632}
MOST_TREES, FOREST_TREES = 1000, 200
FOREST_LEAVES = 255


@dataclass(frozen=True)
class Boosting:
    """Gradient boosting: `viral`, `middle` (squared error), and `low` and `high` by the quantile loss.

    Of the first two there are several, `middle.0` the best of them: their average depends less on the luck of the held
    posts, which chose their settings and said when to stop.
    """

    limit: ClassVar[int] = ROWS
    grown: ClassVar[bool] = True

    texts: Mapping[str, str]

    @classmethod
    def fit(cls, layout: Layout, train: Source, held: Rows, seed: int) -> tuple[Self, dict[str, Any]]:
        """With the five best on `held` of ten settings drawn at random; the ends have the best one of the middle."""
        from viral.models.ensemble.binned import Binned
        from viral.models.fusion_config import QUANTILES

        posts, x = Binned(layout, train, held, seed), layout.gaps(held.batch)
        trials = list(drawn(seed, TRIALS))
        viral = [posts.grow("viral", MOST_TREES, objective="binary", **each) for each in trials]
        middle = [posts.grow("score", MOST_TREES, objective="regression", **each) for each in trials]
        first = np.argsort([log_loss(_says(_booster(text), x), held.viral) for text in viral])[:KEPT]
        second = np.argsort([squared_loss(_says(_booster(text), x), held.score) for text in middle])[:KEPT]
        texts = {f"viral.{place}": viral[at] for place, at in enumerate(first)}
        texts |= {f"middle.{place}": middle[at] for place, at in enumerate(second)}
        for name, alpha in (("low", QUANTILES[0]), ("high", QUANTILES[2])):
            texts[name] = posts.grow("score", MOST_TREES, objective="quantile", alpha=alpha, **trials[second[0]])
        made = cls(texts)
        trees = {name: each.num_trees() for name, each in made.boosters.items()}
        return made, {"viral": [trials[at] for at in first], "score": [trials[at] for at in second], "trees": trees}

    @classmethod
    def made(cls, tensors: Tensors) -> Self:
        """From LightGBM's text."""
        return cls({name: _text(array) for name, array in tensors.items()})

    def tensors(self) -> Tensors:
        """LightGBM's text as bytes."""
        return {name: _bytes(text) for name, text in self.texts.items()}

    @cached_property
    def boosters(self) -> dict[str, Any]:
        """The trees in memory."""
        return {name: _booster(text) for name, text in self.texts.items()}

    def __call__(self, layout: Layout, batch: Batch) -> PredictionBatch:
        """Predict; where the four disagree on the order, the interval gives way to the middle."""
        x = layout.gaps(batch)
        viral, low, middle, high = (self._mean(name, x) for name in ("viral", "low", "middle", "high"))
        return PredictionBatch.from_quantiles(
            viral, np.stack([np.minimum(low, middle), middle, np.maximum(high, middle)], axis=1)
        )

    def contributions(self, layout: Layout, batch: Batch) -> Floats:
        """What each column adds to the score of each post, and last what all posts share: (N, columns + 1)."""
        x = layout.gaps(batch)
        return np.asarray(np.mean([_adds(self.boosters[each], x) for each in self._named("middle")], axis=0))

    def _mean(self, name: str, x: Matrix) -> Floats:
        return np.asarray(np.mean([_says(self.boosters[each], x) for each in self._named(name)], axis=0))

    def _named(self, name: str) -> list[str]:
        # In an order of their own: a file gives them back in any, and sums go by the order to the last bit.
        return [each for each in sorted(self.texts) if each.partition(".")[0] == name]


@dataclass(frozen=True)
class Forest:
    """A random forest for being viral, whose trees vote with the shares in their leaves, and one for the score."""

    limit: ClassVar[int] = ROWS
    grown: ClassVar[bool] = True

    texts: Mapping[str, str]
    spread: Floats

    @classmethod
    def fit(cls, layout: Layout, train: Source, held: Rows, seed: int) -> tuple[Self, dict[str, Any]]:
        """Two hundred deep trees each: what more of them, or others, would change is little."""
        from viral.models.ensemble.binned import Binned

        posts, x = Binned(layout, train, held, seed), layout.gaps(held.batch)
        # A few of hundreds of columns may be tried at each split, most of twenty.
        share = float(np.clip(60 / x.shape[1], 0.1, 0.6))
        settings = {**FOREST, "num_leaves": FOREST_LEAVES, "feature_fraction_bynode": share}
        texts = {
            "viral": posts.grow("viral", FOREST_TREES, **settings),
            "middle": posts.grow("score", FOREST_TREES, **settings),
        }
        made = cls(texts, spread_of(_says(_booster(texts["middle"]), x), held.score))
        return made, {"leaves": FOREST_LEAVES, "trees": FOREST_TREES, "columns_a_split": share}

    @classmethod
    def made(cls, tensors: Tensors) -> Self:
        """From LightGBM's text."""
        return cls({name: _text(array) for name, array in tensors.items() if name != "spread"}, tensors["spread"])

    def tensors(self) -> Tensors:
        """LightGBM's text as bytes."""
        return {"spread": self.spread, **{name: _bytes(text) for name, text in self.texts.items()}}

    @cached_property
    def boosters(self) -> dict[str, Any]:
        """The trees in memory."""
        return {name: _booster(text) for name, text in self.texts.items()}

    def __call__(self, layout: Layout, batch: Batch) -> PredictionBatch:
        """Predict."""
        x = layout.gaps(batch)
        probability = np.clip(_says(self.boosters["viral"], x), 0, 1)
        return PredictionBatch.from_quantiles(probability, around(_says(self.boosters["middle"], x), self.spread))

    def contributions(self, layout: Layout, batch: Batch) -> Floats:
        """What each column adds to the score of each post, and last what all posts share: (N, columns + 1)."""
        # A forest says the mean of its trees; what LightGBM says of columns is their sum.
        return np.asarray(_adds(self.boosters["middle"], layout.gaps(batch)) / self.boosters["middle"].num_trees())


def drawn(seed: int, count: int) -> Iterator[dict[str, Any]]:
    """So many settings of `SEARCHED`; the same seed draws the same."""
    chance = np.random.default_rng(seed)
    for _ in range(count):
        yield {name: chance.choice(values).item() for name, values in SEARCHED.items()} | {"bagging_freq": 1}


def _booster(text: str) -> Any:
    import lightgbm

    return lightgbm.Booster(model_str=text)


def _says(booster: Any, x: Matrix) -> Floats:
    said: Floats = booster.predict(x, num_threads=1)  # a block of posts is too little for several
    return said


def _adds(booster: Any, x: Matrix) -> Floats:
    """TreeSHAP, by LightGBM: Lundberg et al. 2020."""
    added: Floats = booster.predict(x, num_threads=1, pred_contrib=True)
    return added


def _bytes(text: str) -> npt.NDArray[np.uint8]:
    return np.frombuffer(text.encode(), np.uint8)


def _text(array: npt.NDArray[Any]) -> str:
    return array.astype(np.uint8).tobytes().decode()
