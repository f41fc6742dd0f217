"""Sounds by their descriptors: a table that came from elsewhere, real sounds, and trees that learn from it."""

from __future__ import annotations

from pathlib import Path

import lightgbm
import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from safetensors.numpy import load

from jobs import evaluate, ingest, label, score, train_ensemble
from jobs.ingesting.source import IngestSource
from jobs.train_ensemble import EnsembleSpec
from jobs.training.external_features import import_features
from viral.errors import ConfigError
from viral.evaluation.report.report import Report
from viral.evaluation.splits import SplitSpec
from viral.labels import LabelSpec
from viral.registry.registry import Registry
from viral.storage.store import Store

pytestmark = pytest.mark.usefixtures("ray_session")

DESCRIPTORS = (
    *("danceability", "energy", "key", "loudness", "mode", "speechiness", "acousticness", "instrumentalness"),
    *("liveness", "valence", "tempo", "time_signature", "duration_ms"),
)
SOUNDS = 3000


@pytest.fixture
def store(tmp_path: Path, shared_data: Path) -> Store:
    """The first real sounds as posts by their artists, labelled, split by artist; their descriptors lie beside."""
    tracks = pa.csv.read_csv(shared_data / "sounds" / "tracks.csv").slice(0, SOUNDS)
    ids = pa.array([f"sound-{number}" for number in range(tracks.num_rows)])
    posts = {"post_id": ids, "author_id": tracks["artist"], "views": tracks["views"], "sound_uses": tracks["videos"]}
    pa.csv.write_csv(pa.table(posts), tmp_path / "posts.csv")
    numbers = np.column_stack([tracks[name].to_numpy() for name in DESCRIPTORS]).astype(np.float32)
    descriptors = pa.array(list(numbers), pa.list_(pa.float32()))
    pq.write_table(pa.table({"post_id": ids, "descriptors": descriptors}), tmp_path / "descriptors.parquet")
    (tmp_path / "root").mkdir()
    store = Store.open(tmp_path / "root")
    ingest.run(store, IngestSource("csv", (str(tmp_path / "posts.csv"),)))
    label.run(store, LabelSpec("log_views"), SplitSpec("author"))
    return store


def test_trees_learn_from_descriptors_of_real_sounds(store: Store, tmp_path: Path) -> None:
    feature_set = import_features(store, str(tmp_path / "descriptors.parquet"))
    summary = train_ensemble.run(store, EnsembleSpec("tracks", feature_set, "log_views", ("boosting", "forest")))
    evaluated = evaluate.run(store, summary.model, resamples=50)
    report = Report.model_validate_json(store.read(evaluated.json.removeprefix(f"{store.root}/")))
    rmse = {system.name: system.metrics["rmse"].value for system in report.systems if system.metrics}
    assert rmse["model"] < rmse["constant"]
    assert score.run(store, summary.model).scored == SOUNDS
    grown = train_ensemble.run(store, EnsembleSpec("crew", feature_set, "log_views", ("boosting",), workers=2))
    single, distributed = (
        Registry(store).load(model).card["members"]["boosting"] for model in (summary.model, grown.model)
    )
    assert distributed["validation"]["rmse"] == pytest.approx(single["validation"]["rmse"], rel=0.02)
    assert distributed["limit"] == 2 * single["limit"]
    # Its first tree was grown from more posts than either worker holds.
    tensors = load(Registry(store).load(grown.model).weights)
    booster = lightgbm.Booster(model_str=tensors["boosting.middle.0"].tobytes().decode())
    assert booster.dump_model()["tree_info"][0]["tree_structure"]["internal_count"] > 0.59 * grown.rows
    assert evaluate.run(store, grown.model, resamples=20).test_posts == evaluated.test_posts
    assert not list(store.objects("runs"))
    with pytest.raises(ConfigError, match="too few for 30 workers to grow trees together"):
        train_ensemble.run(store, EnsembleSpec("m", feature_set, "log_views", ("boosting",), workers=30))
