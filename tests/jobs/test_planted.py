"""What is planted in the synthetic corpus is found; what is not there is not."""

from __future__ import annotations

import uuid

import numpy as np
import pytest

from jobs import backfill, evaluate, ingest, label, train_network
from viral import generations
from viral.config import Settings
from viral.demo import CorpusSpec, generate
from viral.evaluation.report import Report
from viral.evaluation.splits import SplitSpec
from viral.extractors.feature_set import FeatureSet
from viral.labels import LabelSpec
from viral.models.train_config import TrainConfig
from viral.store import Store
from viral.tables import LABELS

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("ray_session")]

LIGHT = FeatureSet.named("light")
BASELINES = ("constant", "duration_only", "metadata_gbm")


@pytest.fixture(scope="module")
def planted(ray_session: None, tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A corpus as the demo makes it, but of short small clips, with features and labels split by author."""
    folder = tmp_path_factory.mktemp("planted")
    corpus = generate(folder / "corpus", CorpusSpec(seconds=(4.0, 5.0), size=(160, 90)), workers=2)
    store = Store.open(folder)
    ingest.run(store, ingest.Source("csv", (str(corpus / "posts.csv"),)))
    assert backfill.run(store, LIGHT, Settings()).failed == 0
    label.run(store, LabelSpec("log_views"), SplitSpec("author"))
    return store


def judged(store: Store, labels: str) -> dict[str, dict[str, float]]:
    """ROC-AUC and Spearman of a model trained on that label table, and of the baselines, on authors never seen."""
    trained = train_network.run(store, train_network.TrainSpec(labels, LIGHT, labels, workers=1), TrainConfig())
    summary = evaluate.run(store, trained.model, resamples=100)
    report = Report.model_validate_json(store.read(summary.json.removeprefix(f"{store.root}/")))
    return {
        system.name: {name: system.figures[name].value or 0.0 for name in ("roc_auc", "spearman")}
        for system in report.systems
        if system.figures
    }


def test_the_model_finds_what_is_planted(planted: Store) -> None:
    found = judged(planted, "log_views")
    for baseline in BASELINES:
        assert found["model"]["roc_auc"] > found[baseline]["roc_auc"] + 0.05, found
        assert found["model"]["spearman"] > found[baseline]["spearman"] + 0.15, found


def test_shuffled_labels_give_chance(planted: Store) -> None:
    labels, about = generations.current(planted, "labels/log_views", LABELS)
    rows = labels.read()
    order = np.random.default_rng(0).permutation(rows.num_rows)
    for name in ("target", "is_viral", "likes_rate", "comments_rate", "shares_rate"):
        rows = rows.set_column(rows.column_names.index(name), LABELS.field(name), rows[name].take(order))
    generation = uuid.uuid4().hex[:12]
    generations.begin(planted, "labels/shuffled", LABELS, generation).append(rows, 0)
    generations.commit(planted, "labels/shuffled", generation, {**about, "name": "shuffled"})
    model = judged(planted, "shuffled")["model"]
    assert abs(model["roc_auc"] - 0.5) < 0.2
    assert abs(model["spearman"]) < 0.25
