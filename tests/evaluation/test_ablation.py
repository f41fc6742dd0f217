from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics as sk

from viral.datasets.streams import Batch, Stream
from viral.evaluation.ablation import MaskedPredictions, ablate, mask_modalities, modality_subsets
from viral.evaluation.labels import Labels
from viral.evaluation.quick_bootstrap import POSTS, RESAMPLES, AuthorDraws
from viral.evaluation.report.sections import Ablation
from viral.models.predictions import PredictionBatch

MODALITIES = ("text", "audio", "editing")
EFFECTS = {"text": 2.0, "audio": 1.0, "editing": 0.0}
AVERAGE = (0.25, 0.0)


def planted(count: int = 1500, *, lacking: int = 0) -> tuple[Labels, dict[str, np.ndarray]]:
    """Scores that text explains most, audio less and editing not at all; the first `lacking` posts have no text."""
    rng = np.random.default_rng(0)
    parts = {name: effect * rng.normal(size=count) for name, effect in EFFECTS.items()}
    parts["text"][:lacking] = np.nan
    y = np.nansum(list(parts.values()), axis=0) + 0.5 * rng.normal(size=count)
    authors = rng.integers(count // 5, size=count)
    return Labels([str(row) for row in range(count)], authors, y, y > np.quantile(y, 0.75)), parts


def predict(parts: dict[str, np.ndarray], shown: tuple[str, ...]) -> MaskedPredictions:
    """A model that sums the shown columns, without a prediction for posts that have none."""
    columns = np.array([parts[name] for name in shown])
    score = np.where(np.isnan(columns).all(axis=0), np.nan, np.nansum(columns, axis=0))
    return MaskedPredictions(shown, 1 / (1 + np.exp(1 - score)), score)


def ablated(*, lacking: int = 0) -> tuple[Ablation, Labels, dict[str, np.ndarray]]:
    labels, parts = planted(lacking=lacking)
    whole = predict(parts, MODALITIES)
    less = [predict(parts, shown) for shown in modality_subsets(MODALITIES)]
    return ablate(labels, PredictionBatch(whole.probability, whole.score), less, AVERAGE, resamples=60), labels, parts


def test_every_subset_of_few_and_the_ends_of_many() -> None:
    assert modality_subsets(("a",)) == ()
    assert modality_subsets(("a", "b")) == (("a",), ("b",))
    assert len(modality_subsets("abcd")) == len(set(modality_subsets("abcd"))) == 2**4 - 2
    many = modality_subsets("abcdef")
    assert [len(subset) for subset in many] == [5] * 6 + [1] * 6


def test_what_is_hidden_is_gone_and_the_rest_is_as_it_was() -> None:
    streams = (Stream("caption", "text", 2), Stream("wording", "text", 1), Stream("acoustics", "audio", 1))
    vectors = {"caption": np.ones((2, 2), np.float32), "wording": np.ones((2, 1), np.float32)}
    batch = Batch({**vectors, "acoustics": np.ones((2, 1), np.float32)}, np.array([[1, 1, 1], [1, 0, 0]], bool))
    heard = mask_modalities(batch, streams, ("audio",))
    assert heard.present.tolist() == [[False, False, True], [False, False, False]]
    assert not heard.vectors["caption"].any() and not heard.vectors["wording"].any()
    assert heard.vectors["acoustics"].all() and batch.present[0].all() and batch.vectors["caption"].all()


def test_planted_effects_rank_the_modalities() -> None:
    ablation, _, _ = ablated()
    losses = {subset.shown: subset.differences for subset in ablation.subsets}
    without = {name: losses[tuple(modality for modality in MODALITIES if modality != name)] for name in MODALITIES}
    for metric in ("roc_auc", "spearman"):
        text, audio, editing = (without[name][metric] for name in MODALITIES)
        assert text.value < audio.value < editing.value == 0
        assert text.high is not None and text.high < 0 and audio.high is not None and audio.high < 0
        assert (editing.low, editing.high) == (0, 0)
    assert without["text"]["rmse"].low > 0
    alone = {subset.shown[0]: subset.metrics["spearman"].value for subset in ablation.subsets if len(subset.shown) == 1}
    assert alone["text"] > alone["audio"] > 0.2 and alone["editing"] is None
    assert (ablation.posts, ablation.resampled_posts, ablation.resamples) == (1500, 1500, 60)


def test_figures_are_those_of_scikit_learn() -> None:
    ablation, labels, parts = ablated()
    whole = predict(parts, MODALITIES)
    assert ablation.whole["roc_auc"].value == pytest.approx(sk.roc_auc_score(labels.is_viral, whole.probability))
    assert ablation.whole["rmse"].value == pytest.approx(sk.root_mean_squared_error(labels.y, whole.score))


def test_the_average_stands_in_where_nothing_is_left() -> None:
    ablation, labels, parts = ablated(lacking=300)
    (text,) = [subset for subset in ablation.subsets if subset.shown == ("text",)]
    assert text.available == 0.8
    score = np.where(np.arange(1500) < 300, AVERAGE[1], parts["text"])
    assert text.metrics["rmse"].value == pytest.approx(sk.root_mean_squared_error(labels.y, score))


def test_many_posts_are_drawn_from_by_whole_authors() -> None:
    authors = np.random.default_rng(0).integers(3000, size=20_000)
    draws = AuthorDraws.from_authors(authors, resamples=10**6)
    assert POSTS <= len(draws.rows) < POSTS + 50
    assert not set(authors[draws.rows]) & set(np.delete(authors, draws.rows))
    assert draws.bootstrap.resamples == RESAMPLES
