"""The model finds the effects planted in the synthetic corpus, and no others."""

from __future__ import annotations

import json
import uuid

import numpy as np
import pytest
import torch

from jobs import backfill, evaluate, ingest, label, train_network
from jobs.ingesting.source import IngestSource
from jobs.training.shard import Shard
from jobs.training.specs import TrainSpec
from viral.config import Settings
from viral.datasets.labelled_features import SPLITS, compute_moments
from viral.datasets.streams import dense, from_table, streams_of
from viral.demo import CorpusSpec, generate
from viral.evaluation.report.report import Report
from viral.evaluation.splits import SplitSpec
from viral.explain.variants import Draft, Rescorer, Variant
from viral.explain.whatif import parse_change, what_if
from viral.extractors.extractor import Context
from viral.extractors.feature_set import FeatureSet
from viral.features.feature_table import features_table
from viral.features.pipeline import Pipeline
from viral.labels import LabelSpec
from viral.models.fusion import set_statistics
from viral.models.fusion_config import RATES, FusionConfig
from viral.models.networks import network
from viral.models.train_config import TrainConfig
from viral.models.training import Learner, TensorBatch
from viral.scoring.scorer import Scorer
from viral.storage.store import Store
from viral.tables import replaced
from viral.tables.places import posts_table
from viral.tables.schemas import LABELS

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("ray_session")]


def light() -> FeatureSet:
    """The default set, its image network on one frame instead of eight, which take longer than all the rest."""
    entries = [entry.to_dict() for entry in FeatureSet.named("light").entries]
    for entry in entries:
        if entry["name"] == "efficientnet_lite0":
            entry["params"] |= {"frames": 1}
    return FeatureSet.from_dict({"name": "planted", "extractors": entries})


LIGHT = light()
# As the demo makes it, but of clips as short, small and slow as may be.
SPEC = CorpusSpec(seconds=(3.6, 4.4), size=(96, 64), fps=10)
MATTERS = {"opening_loudness": "acoustics", "cut_rate": "craft", "mishap": "caption", "author": "metadata"}
BASELINES = ("constant", "duration_only", "metadata_gbm")


@pytest.fixture(scope="module")
def planted(ray_session: None, tmp_path_factory: pytest.TempPathFactory) -> Store:
    """The corpus with features, and labels split by author."""
    folder = tmp_path_factory.mktemp("planted")
    corpus = generate(folder / "corpus", SPEC, workers=1)
    store = Store.open(folder)
    ingest.run(store, IngestSource("csv", (str(corpus / "posts.csv"),)))
    assert backfill.run(store, LIGHT, Settings()).failed == 0
    label.run(store, LabelSpec("log_views"), SplitSpec("author"))
    return store


def evaluated(store: Store, labels: str) -> dict[str, dict[str, float]]:
    """ROC-AUC and Spearman of a model trained on that label table, and of the baselines, on authors never seen."""
    trained = train_network.run(store, TrainSpec(labels, LIGHT, labels, workers=0), TrainConfig())
    summary = evaluate.run(store, trained.model, resamples=100)
    report = Report.model_validate_json(store.read(summary.json.removeprefix(f"{store.root}/")))
    return {
        system.name: {name: system.metrics[name].value or 0.0 for name in ("roc_auc", "spearman")}
        for system in report.systems
        if system.metrics
    }


@pytest.fixture(scope="module")
def results(planted: Store) -> dict[str, dict[str, float]]:
    return evaluated(planted, "log_views")


def test_the_model_finds_what_is_planted(results: dict[str, dict[str, float]]) -> None:
    for baseline in BASELINES:
        assert results["model"]["roc_auc"] > results[baseline]["roc_auc"] + 0.05, results
        assert results["model"]["spearman"] > results[baseline]["spearman"] + 0.15, results


def test_what_if_moves_in_the_planted_direction(planted: Store, results: dict[str, dict[str, float]]) -> None:
    """A mishap in the caption is worth views; so is a loud opening, which a trim takes from clips that have one."""
    del results  # the model is trained
    posts = json.loads(planted.read("corpus/truth.json"))["posts"]
    words = {
        row["post_id"]: row["caption"] for row in posts_table(planted).read(columns=["post_id", "caption"]).to_pylist()
    }
    captions = [next(words[p["post_id"]] for p in posts if p["mishap"] is mishap) for mishap in (True, False)]
    sounding = sorted((p for p in posts if p["opening_db"] is not None), key=lambda post: post["opening_db"])
    scorer = Scorer.load(planted, "log_views")
    with Pipeline(scorer.feature_set, planted, Settings()) as pipeline:
        rescorer = Rescorer(pipeline, scorer)

        def changes(post_id: str) -> list[float]:
            draft = Draft(f"corpus/videos/{post_id}.mp4", Context(words[post_id], author_followers=4900))
            specs = (*(f"caption={caption}" for caption in captions), "trim_start=2")
            tried = [parse_change(spec, draft.context) for spec in specs]
            (whole,) = rescorer([Variant(draft)])
            return [result.change for result in what_if(rescorer, draft, SPEC.seconds[0], whole, tried, None).results]

        quiet, loud = (np.array([changes(p["post_id"]) for p in some]) for some in (sounding[:3], sounding[-3:]))
    assert ((quiet[:, 0] > quiet[:, 1]).all(), (loud[:, 0] > loud[:, 1]).all()) == (True, True)
    assert quiet[:, 2].mean() > loud[:, 2].mean(), (quiet, loud)


def test_shuffled_labels_give_chance(planted: Store) -> None:
    labels, about = replaced.open_current(planted, "labels/log_views", LABELS)
    rows = labels.read()
    rng, parts = np.random.default_rng(0), rows["split"].to_numpy()
    order = np.arange(rows.num_rows)
    for part in SPLITS:  # each in itself: the threshold stays that of the training posts
        order[parts == part] = rng.permutation(order[parts == part])
    for name in ("target", "is_viral", "likes_rate", "comments_rate", "shares_rate"):
        rows = rows.set_column(rows.column_names.index(name), LABELS.field(name), rows[name].take(order))
    version = uuid.uuid4().hex[:12]
    replaced.begin(planted, "labels/shuffled", LABELS, version).append(rows, 0)
    replaced.commit(planted, "labels/shuffled", version, {**about, "name": "shuffled"})
    model = evaluated(planted, "shuffled")["model"]
    assert abs(model["roc_auc"] - 0.5) < 0.2
    assert abs(model["spearman"]) < 0.25


@pytest.mark.parametrize("term", MATTERS)
def test_where_one_thing_alone_matters_its_modality_has_the_largest_share(planted: Store, term: str) -> None:
    """A target that is one planted term, learnt from the vectors of the real clips, in this process."""
    rows = features_table(planted, LIGHT).read()
    # Without the image network: its 1,280 values learn the authors of 400 drawn clips by heart.
    streams = tuple(stream for stream in dense(streams_of(LIGHT)) if stream.name != "efficientnet_lite0")
    posts = {post["post_id"]: post["terms"][term] for post in json.loads(planted.read("corpus/truth.json"))["posts"]}
    planned = np.array([posts[post] for post in rows["post_id"].to_pylist()])
    target = torch.from_numpy(((planned - planned.mean()) / planned.std()).astype(np.float32))
    batch = from_table(streams, rows)
    vectors = {name: torch.from_numpy(array) for name, array in batch.vectors.items()}
    targets = {"target": target, "is_viral": (target > 0.7).float()}
    unknown = {name: torch.full((len(target),), float("nan")) for name in RATES}
    tensors = TensorBatch(vectors, torch.from_numpy(batch.present), targets | unknown)
    torch.manual_seed(0)
    model = network(FusionConfig(streams))
    moments = {
        name: compute_moments(array[batch.present[:, index]])
        for index, (name, array) in enumerate(batch.vectors.items())
    }
    set_statistics(
        model,
        {name: moment.mean.tolist() for name, moment in moments.items()},
        {name: moment.scale.tolist() for name, moment in moments.items()},
    )
    shard = Shard(tensors, iter)
    learner = Learner(model, TrainConfig(), steps=40 * -(-len(target) // 64))
    for epoch in range(40):
        learner.train(shard.shuffled(64, (epoch,)))
    with torch.inference_mode():
        shares = model.eval()(vectors, tensors.present).contributions[tensors.present.all(dim=1)].mean(dim=0)
    found = dict(zip((stream.name for stream in streams), shares.tolist(), strict=True))
    assert max(found, key=found.__getitem__) == MATTERS[term], found
