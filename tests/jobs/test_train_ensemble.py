"""Ensembles and stacks: trained on the corpus, saved, scored and judged like any other model."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from jobs import evaluate, label, score, train_ensemble, train_network, train_stacked
from jobs.scoring.loaded import prediction_row
from jobs.train_ensemble import EnsembleSpec
from jobs.train_stacked import StackedSpec
from jobs.training.specs import TrainSpec
from tests.conftest import CORPUS_POSTS
from tests.trees import few_trees
from viral.datasets.streams import from_table
from viral.errors import ConfigError, TableError
from viral.extractors.feature_set import FeatureSet
from viral.features.feature_table import features_table
from viral.models.ensemble.member import MEMBERS
from viral.models.train_config import TrainConfig
from viral.registry.registry import Registry
from viral.scoring.scorer import Scorer
from viral.storage.store import Store
from viral.tables import replaced
from viral.tables.places import labels_prefix, predictions_prefix
from viral.tables.schemas import LABELS, PREDICTIONS
from viral.weights.root import RootWeights


@pytest.fixture(scope="module")
def store(flow, tmp_path_factory) -> Store:
    """A copy of the root of the corpus, with a fusion model, an ensemble and both stacked."""
    root = tmp_path_factory.mktemp("ensemble") / "root"
    shutil.copytree(flow.store.root, root)
    store = Store.open(root)
    with few_trees():
        train_ensemble.run(store, EnsembleSpec("ensemble", flow.feature_set, "log_views"))
    train_stacked.run(store, StackedSpec("stack", (flow.trained.model, "ensemble")))
    return store


def predictions(store: Store, model: str) -> dict[str, dict[str, object]]:
    table, _ = replaced.open_current(store, predictions_prefix(model), PREDICTIONS)
    return {row["post_id"]: row for row in table.read().to_pylist()}


def test_an_ensemble_is_a_model_like_any_other(store, flow):
    card = Registry(store).load("ensemble").card
    assert card["kind"] == "ensemble"
    assert set(card["members"]) == set(MEMBERS)
    for of in ("probability", "score", "interval"):
        weights = [each["weights"][of] for each in card["members"].values()]
        assert sum(weights) == pytest.approx(1)
        assert min(weights) >= 0
    assert card["rows"] == flow.trained.rows
    summary = score.run(store, "ensemble/1")
    assert summary.scored == flow.scored.scored == CORPUS_POSTS
    for row in predictions(store, "ensemble/1").values():
        assert 0 <= row["probability"] <= 1
        assert row["low"] <= row["score"] <= row["high"]
        assert sum(dict(row["shares"]).values()) == pytest.approx(1)
    judged = evaluate.run(store, "ensemble/1", resamples=20)
    assert judged.test_posts == flow.judged.test_posts
    assert set(judged.figures) == set(flow.judged.figures)


@pytest.mark.parametrize("model", ["ensemble/1", "stack/1"])
def test_processes_of_their_own_score_the_same_to_the_last_bit(store, flow, model):
    """Workers of a cluster load a model each, as the endpoint and `viral score` do."""
    score.run(store, model)
    scorer, there = Scorer.load(store, model), predictions(store, model)
    rows = features_table(store, flow.feature_set).read()
    here = scorer.score_batch(from_table(scorer.streams, rows))
    assert [prediction_row(post, each) for post, each in zip(rows["post_id"].to_pylist(), here, strict=True)] == [
        {**there[post], "shares": list(there[post]["shares"])} for post in rows["post_id"].to_pylist()
    ]


def test_given_weights_and_members(store, flow):
    spec = EnsembleSpec("two", flow.feature_set, "log_views", ("knn", "logistic"), {"knn": 3.0, "logistic": 1.0})
    summary = train_ensemble.run(store, spec)
    assert (summary.model, list(summary.members)) == ("two/1", ["knn", "logistic", "together"])
    card = Registry(store).load("two").card
    assert card["members"]["knn"]["weights"] == {"probability": 0.75, "score": 0.75, "interval": 0.75}
    again = train_ensemble.run(store, spec)
    assert Registry(store).load(again.model).weights == Registry(store).load(summary.model).weights


def test_a_stack_of_saved_models(store, flow, tmp_path):
    summary = train_stacked.run(store, StackedSpec("stacked", (flow.trained.model, "ensemble")))
    assert list(summary.members) == [flow.trained.model, "ensemble/1", "together"]
    scorer = Scorer.load(store, summary.model)
    vectors = {name: np.full(dim, 0.1, np.float32) for name, dim in flow.feature_set.dims.items()}
    members = [Scorer.load(store, model).score([vectors])[0] for model in (flow.trained.model, "ensemble/1")]
    weights = [each["weights"]["probability"] for each in scorer.saved.card["members"]]
    (stacked,) = scorer.score([vectors])
    mixed = sum(weight * each.probability for weight, each in zip(weights, members, strict=True))
    assert stacked.probability == pytest.approx(mixed)
    # It needs neither of them any more.
    shutil.copytree(Path(store.root, "models", "stacked"), tmp_path / "models" / "stacked")
    assert Scorer.load(Store.open(tmp_path), summary.model).score([vectors])[0] == stacked
    judged = evaluate.run(store, summary.model, resamples=20)
    assert (judged.test_posts, judged.unaudited) == (flow.judged.test_posts, [])


def test_what_cannot_be_an_ensemble(store, flow):
    def run(**changed: object) -> None:
        spec = EnsembleSpec(**{"name": "m", "feature_set": flow.feature_set, "label": "log_views", **changed})
        train_ensemble.run(store, spec)

    with pytest.raises(ConfigError, match="no member 'oracle': choose from logistic"):
        run(members=("oracle",))
    with pytest.raises(ConfigError, match="no member is named 'svm': choose from knn"):
        run(members=("knn",), weights={"svm": 1.0})
    with pytest.raises(ConfigError, match="not all 0"):
        run(weights={"svm": 0.0})
    labels, about = replaced.open_current(store, labels_prefix("log_views"), LABELS)
    rows = labels.read()
    at = rows.column_names.index("is_viral")
    dull = rows.set_column(at, LABELS.field("is_viral"), pa.array([False] * rows.num_rows))
    label._replace(store, "dull", dull, {**about, "name": "dull"})
    with pytest.raises(TableError, match="none of the training posts are viral by labels/dull: label"):
        run(label="dull")
    with pytest.raises(TableError, match="are viral by labels/dull: label with another --top"):
        train_network.run(store, TrainSpec("m", flow.feature_set, "dull"), TrainConfig(epochs=1))
    assert not list(store.objects("models/m"))


def test_what_cannot_be_stacked(store, flow):
    model = flow.trained.model
    saved = Registry(store).load(model)
    Registry(store).save("other", {**saved.card, "label": {**saved.card["label"], "name": "other"}}, saved.weights)
    for members, error, message in (
        ((model,), ConfigError, "two or more different models"),
        ((model, "fused"), ConfigError, "two or more different models"),
        ((model, "nothing"), TableError, "there is no model nothing"),
        ((model, "other"), TableError, "other/1 and fused/1 were trained on different labels"),
    ):
        with pytest.raises(error, match=message):
            train_stacked.run(store, StackedSpec("m", members))
    Registry(store).save("same", saved.card, saved.weights)
    with pytest.raises(ConfigError, match="no member is named 'x'"):
        train_stacked.run(store, StackedSpec("m", (model, "same"), {"x": 1.0}))


def test_members_whose_weights_lie_in_the_root(tmp_path):
    """They are found there: what is missed is the feature table, which comes after."""
    (tmp_path / "w.pth").write_bytes(b"tensors")
    store = Store.open(tmp_path)
    params = {"weights": "root:w.pth"}
    extractors = {"name": "mine", "extractors": [{"name": "r2plus1d", "params": params}]}
    chosen = FeatureSet.from_dict(extractors, resolve=RootWeights(store))
    card = {"feature_set": chosen.to_dict(), "label": {"name": "x"}, "config": {"streams": []}}
    for name in ("a", "b"):
        Registry(store).save(name, card, b"")
    with pytest.raises(TableError, match="there is no table features/mine-"):
        train_stacked.run(store, StackedSpec("m", ("a", "b")))
