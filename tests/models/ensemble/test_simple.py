"""Members that are baselines: a curve over the followers, and the averages."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from viral.datasets.labelled_features import RunningMoments
from viral.datasets.streams import Batch, Stream
from viral.extractors.metadata import METADATA_COLUMNS
from viral.models.ensemble.member import member_class, squared_loss
from viral.models.ensemble.rows import LabelledBatch, Layout
from viral.models.ensemble.simple import Constant, Followers
from viral.models.ensemble.usable import usable_members
from viral.models.mixing import learn_weights

DIM = len(METADATA_COLUMNS)
METADATA = Stream("metadata", "metadata", DIM)
LAYOUT = Layout.from_moments((METADATA,), {"metadata": RunningMoments(2, np.zeros(DIM), np.full(DIM, 2.0))})
FOLLOWERS, KNOWN = (METADATA_COLUMNS.index(name) for name in ("log_followers", "followers_known"))


class Source:
    """Posts in memory, as a `RowSource` reads them."""

    def __init__(self, posts: LabelledBatch) -> None:
        self.posts = posts

    def read_all(self) -> LabelledBatch:
        return self.posts


def posts(count: int, seed: int, *, effect: float = 1.0, known: float = 0.8) -> LabelledBatch:
    """Scores that rise with the followers up to a point, then fall; some authors' followers are unknown."""
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(count, DIM)).astype(np.float32)
    followers, seen = rng.uniform(0, 14, count), rng.random(count) < known
    vectors[:, KNOWN], vectors[:, FOLLOWERS] = seen, np.where(seen, followers, 0)
    score = -effect * np.abs(followers - 9) / 3 + 0.3 * rng.normal(size=count)
    batch = Batch({"metadata": vectors}, np.ones((count, 1), bool))
    return LabelledBatch(batch, score > np.quantile(score, 0.7), score)


@cache
def fitted(name: str, effect: float = 1.0, known: float = 0.8, count: int = 600) -> Followers | Constant:
    train = Source(posts(count, 0, effect=effect, known=known))
    member, _ = member_class(name).fit(LAYOUT, train, posts(300, 1, effect=effect), 0)  # type: ignore[arg-type]
    assert isinstance(member, Followers | Constant)
    restored = type(member).from_arrays(member.to_arrays())
    assert np.array_equal(
        restored(LAYOUT, posts(9, 3).batch).quantiles,
        member(LAYOUT, posts(9, 3).batch).quantiles,
    )
    return restored


def test_the_curve_of_the_followers() -> None:
    new = posts(300, 2)
    prediction, known = fitted("followers")(LAYOUT, new.batch), new.batch.vectors["metadata"][:, KNOWN] > 0
    assert squared_loss(prediction.score[known], new.score[known]) < 0.3 * np.var(new.score)
    assert np.ptp(prediction.score[~known]) == 0
    viral = new.viral[known]
    assert prediction.probability[known][viral].mean() > 2 * prediction.probability[known][~viral].mean()
    assert (np.diff(prediction.quantiles, axis=1) >= 0).all()


@pytest.mark.parametrize(("known", "count"), [(0.0, 600), (0.8, 20)])
def test_without_followers_to_learn_from_it_is_the_constant(known: float, count: int) -> None:
    new = posts(50, 2)
    simple, constant = (fitted(name, 1.0, known, count)(LAYOUT, new.batch) for name in ("followers", "constant"))
    assert np.array_equal(simple.quantiles, constant.quantiles)
    assert np.array_equal(simple.probability, constant.probability)
    assert np.ptp(constant.score) == 0


def test_an_ensemble_falls_back_to_the_constant_where_nothing_helps() -> None:
    """Scores without any relation to the followers, and a member that is sure of one."""
    validation = posts(300, 5, effect=0.0)
    sure = fitted("followers", 1.0)(LAYOUT, validation.batch)
    average = fitted("constant", 0.0)(LAYOUT, validation.batch)
    weights = learn_weights([sure, average], validation.viral, validation.score)
    assert weights.score[1] > 0.9
    assert weights.probability[1] > 0.9


def test_followers_are_of_virals_own_metadata() -> None:
    assert "followers" in usable_members([METADATA])
    assert "followers" not in usable_members([Stream("metadata", "metadata", 5)])
    assert "constant" in usable_members([Stream("mine", "text", 5)])
