from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from viral.errors import ConfigError, TableError
from viral.evaluation.baselines.baselines import BASELINES, Inputs, Unavailable, fit_predict
from viral.evaluation.baselines.systems import EXTRACTORS
from viral.evaluation.bootstrap.metrics import accuracy_above
from viral.models.predictions import PredictionBatch


def corpus(count: int, *, seed: int = 0) -> Inputs:
    """Scores that followers explain in part, and authors in part; duration and hour explain nothing."""
    rng = np.random.default_rng(seed)
    authors = rng.integers(max(2, count // 10), size=count)
    skill, reach = rng.normal(size=count)[authors], rng.normal(size=count)
    y = skill + reach + 0.3 * rng.normal(size=count)
    followers = np.where(rng.random(count) < 0.1, np.nan, np.exp(reach))
    duration = rng.uniform(5, 60, count)
    hour = rng.integers(24, size=count).astype(float)
    metadata = np.column_stack([duration, followers, hour, np.full(count, np.nan)])
    captions = [f"wait {word} @you #fyp" for word in np.array(["now", "here", "絵文"])[rng.integers(3, size=count)]]
    vectors = {name: rng.normal(size=(count, 4)).astype(np.float32) for name in EXTRACTORS}
    posted = np.arange(count) * 60.0
    return Inputs(y, y > 1, duration, followers, hour, authors, posted, metadata, captions, vectors)


def halves(count: int) -> tuple[np.ndarray, np.ndarray]:
    train = np.arange(count) < count // 2
    return train, ~train


def predicted(name: str, inputs: Inputs, train: np.ndarray, test: np.ndarray) -> PredictionBatch:
    answer = fit_predict(name, inputs, train, test)
    assert isinstance(answer, PredictionBatch)
    return answer


@pytest.mark.parametrize("name", BASELINES)
@pytest.mark.parametrize("count", [12, 43, 1000])
def test_every_baseline_predicts_the_same_each_time(name: str, count: int, capfd: pytest.CaptureFixture[str]) -> None:
    inputs, (train, test) = corpus(count), halves(count)
    one, two = predicted(name, inputs, train, test), predicted(name, inputs, np.flatnonzero(train), test)
    assert (one.probability == two.probability).all() and (one.score == two.score).all()
    assert one.probability.shape == one.score.shape == (test.sum(),)
    assert np.isfinite(one.score).all() and ((one.probability >= 0) & (one.probability <= 1)).all()
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("name", BASELINES)
def test_nothing_of_the_test_outcomes_is_used(name: str) -> None:
    inputs, (train, test) = corpus(400), halves(400)
    blind = replace(inputs, y=np.where(test, 99.0, inputs.y), is_viral=inputs.is_viral | test)
    one, two = predicted(name, inputs, train, test), predicted(name, blind, train, test)
    assert (one.score == two.score).all() and (one.probability == two.probability).all()


def test_majority_is_what_an_accuracy_has_to_beat() -> None:
    inputs, (train, test) = corpus(1000), halves(1000)
    quartile = float(np.quantile(inputs.y[train], 0.75))
    answer = predicted("majority", inputs, train, test)
    assert set(answer.probability) == {0.0}
    skewed = replace(inputs, y=np.exp(5 * inputs.y))  # the mean lies above the 75th percentile, and calls all viral
    limit = float(np.exp(5 * quartile))
    below = float((inputs.y[test] <= quartile).mean())
    for name, expected in (("majority", below), ("constant", 1 - below)):
        batch = predicted(name, skewed, train, test)
        assert accuracy_above(skewed.y[test], batch.score, limit)["accuracy_at_75"] == pytest.approx(expected)


def test_constant_is_the_average_of_training() -> None:
    inputs, (train, test) = corpus(100), halves(100)
    answer = predicted("constant", inputs, train, test)
    assert set(answer.score) == {inputs.y[train].mean()}
    assert set(answer.probability) == {inputs.is_viral[train].mean()}


def test_boosting_finds_what_is_there() -> None:
    inputs, (train, test) = corpus(2000), halves(2000)

    def correlation(name: str) -> float:
        return float(np.corrcoef(predicted(name, inputs, train, test).score, inputs.y[test])[0, 1])

    assert correlation("followers_only") > 0.5
    assert correlation("metadata_gbm") > 0.5
    assert abs(correlation("duration_only")) < 0.15
    assert correlation("author_earlier_median") > 0.5
    assert correlation("system_b") > 0.5


def correlation_of_text(effect: float, captions: list[str | None] | None = None, count: int = 2000) -> float:
    """How well the captions' words predict, where `win` and `lose` move the score by so much."""
    rng, inputs = np.random.default_rng(1), corpus(count)
    planted = rng.integers(2, size=count)
    words = [f"some {rng.integers(50)} {'win' if good else 'lose'} words" for good in planted]
    y = effect * (planted - 0.5) + rng.normal(size=count)
    inputs = replace(inputs, y=y, is_viral=y > 1, captions=captions or words)
    train, test = halves(count)
    answer = predicted("text_linear", inputs, train, test)
    assert effect == 0 or captions or np.corrcoef(answer.probability, inputs.is_viral[test])[0, 1] > 0.3
    return float(np.corrcoef(answer.score, y[test])[0, 1])


def test_linear_models_find_what_the_words_say_and_nothing_else() -> None:
    assert correlation_of_text(2.0) > 0.6
    assert abs(correlation_of_text(0.0)) < 0.1


def test_words_of_scripts_without_spaces_are_letters() -> None:
    rng = np.random.default_rng(0)
    letters = ["勝" if win else "敗" for win in np.random.default_rng(1).integers(2, size=2000)]
    captions = ["".join(rng.permutation(list("面白動画毎日見"))) + letter for letter in letters]
    assert correlation_of_text(2.0, captions) > 0.6


@pytest.mark.parametrize(("name", "seen"), [("system_c", "r2plus1d"), ("system_d", "vgg16"), ("system_a", "acoustics")])
def test_heads_find_what_their_vectors_say(name: str, seen: str) -> None:
    inputs, (train, test) = corpus(2000), halves(2000)
    assert abs(np.corrcoef(predicted(name, inputs, train, test).score, inputs.y[test])[0, 1]) < 0.15
    assert inputs.vectors is not None
    vectors = {**inputs.vectors, seen: inputs.vectors[seen] + inputs.y[:, None].astype(np.float32)}
    vectors[seen][::5] = np.nan
    answer = predicted(name, replace(inputs, vectors=vectors), train, test)
    present = ~np.isnan(vectors[seen][test, 0])
    assert np.corrcoef(answer.score[present], inputs.y[test][present])[0, 1] > 0.6
    assert np.corrcoef(answer.probability[present], inputs.is_viral[test][present])[0, 1] > 0.4


def test_hand_set_weights_keep_the_picture_low() -> None:
    inputs, (train, test) = corpus(2000), halves(2000)
    assert inputs.vectors is not None
    vectors = {**inputs.vectors, "resnet50": inputs.y[:, None].astype(np.float32)}
    answer = predicted("system_a", replace(inputs, vectors=vectors), train, test)
    slope = np.polyfit(inputs.y[test], answer.score, 1)[0]
    assert 0.05 < slope < 0.2


def test_earlier_median_looks_at_earlier_training_posts_only() -> None:
    y = np.array([1.0, 5.0, 3.0, 100.0, 7.0, 0.0, 0.0, 0.0, 0.0])
    viral = np.array([0, 1, 0, 1, 1, 0, 0, 0, 0], dtype=bool)
    authors = np.array([1, 1, 1, 1, 2, 1, 1, 2, 3])
    posted = np.array([10.0, 20, 30, 90, 10, 25, 50, 10, 50])
    train, test = np.arange(5), np.arange(5, 9)
    answer = predicted("author_earlier_median", Inputs(y, viral, authors=authors, posted_at=posted), train, test)
    # Author 2's only other post is of the same moment, author 3 has none: the median of all.
    assert answer.score.tolist() == [3.0, 3.0, 5.0, 5.0]
    # 1 of 2, 1 of 3, none, none; each with one post of the training rate, 0.6.
    assert answer.probability == pytest.approx([1.6 / 3, 1.6 / 4, 0.6, 0.6])


def test_a_post_without_time_has_nothing_earlier() -> None:
    inputs = Inputs(
        np.arange(4.0), np.array([1, 0, 1, 0], dtype=bool), authors=np.zeros(4, int), posted_at=np.arange(4.0)
    )
    inputs = replace(inputs, posted_at=np.array([0.0, np.nan, 2, np.nan]))
    answer = predicted("author_earlier_median", inputs, np.array([0, 1]), np.array([2, 3]))
    assert answer.score.tolist() == [0.0, 0.5]


@pytest.mark.parametrize(
    ("name", "without", "reason"),
    [
        ("duration_only", {"duration": None}, "no duration"),
        ("followers_only", {"followers": None}, "no follower count"),
        ("hour_only", {"hour": None}, "no posting hour"),
        ("metadata_gbm", {"metadata": None}, "no metadata"),
        ("author_earlier_median", {"authors": None}, "no authors or no posting times"),
        ("author_earlier_median", {"authors": np.arange(50)}, "no test post has an earlier training post"),
        ("followers_only", {"followers": np.full(50, np.nan)}, "no training post has a follower count"),
        ("text_linear", {"captions": None}, "no captions"),
        ("text_linear", {"captions": [None] * 25 + ["words"] * 25}, "no word occurs in the captions of two training"),
        ("system_a", {"vectors": {}}, "at least two of them are unavailable"),
        ("system_b", {"metadata": None}, "no metadata"),
        ("system_b", {"metadata": np.full((50, 2), np.nan)}, "no training post has metadata"),
        ("system_c", {"vectors": None}, "needs r2plus1d, which the feature set does not have"),
        ("system_d", {"vectors": {"vgg16": np.full((50, 3), np.nan, np.float32)}}, "no training post has vgg16"),
        ("hour_only", {"hour": np.where(np.arange(50) < 25, 1.0, np.nan)}, "no test post has a posting hour"),
    ],
)
def test_a_missing_input_is_said(name: str, without: dict[str, object], reason: str) -> None:
    answer = fit_predict(name, replace(corpus(50), **without), *halves(50))
    assert isinstance(answer, Unavailable)
    assert reason in answer.reason


def test_one_class_in_training() -> None:
    inputs = replace(corpus(100), is_viral=np.zeros(100, dtype=bool))
    for name in BASELINES:
        assert predicted(name, inputs, *halves(100)).probability.max() < 0.01


def test_bad_requests() -> None:
    inputs, (train, test) = corpus(20), halves(20)
    with pytest.raises(ConfigError, match="metadata_gbm"):
        fit_predict("oracle", inputs, train, test)
    with pytest.raises(TableError, match="no training posts"):
        fit_predict("constant", inputs, np.zeros(20, dtype=bool), test)
