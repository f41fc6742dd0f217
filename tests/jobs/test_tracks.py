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
from jobs.train_ensemble import EnsembleSpec
from jobs.training.external_features import brought_in
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
    ingest.run(store, ingest.Source("csv", (str(tmp_path / "posts.csv"),)))
    label.run(store, LabelSpec("log_views"), SplitSpec("author"))
    return store


def test_trees_learn_from_descriptors_of_real_sounds(store: Store, tmp_path: Path) -> None:
    chosen = brought_in(store, str(tmp_path / "descriptors.parquet"))
    said = train_ensemble.run(store, EnsembleSpec("tracks", chosen, "log_views", ("boosting", "forest")))
    judged = evaluate.run(store, said.model, resamples=100)
    report = Report.model_validate_json(store.read(judged.json.removeprefix(f"{store.root}/")))
    rmse = {each.name: each.figures["rmse"].value for each in report.systems if each.figures}
    assert rmse["model"] < rmse["constant"]
    assert score.run(store, said.model).scored == SOUNDS
    crew = train_ensemble.run(store, EnsembleSpec("crew", chosen, "log_views", ("boosting",), workers=2))
    one, two = (Registry(store).load(model).card["members"]["boosting"] for model in (said.model, crew.model))
    assert two["validation"]["rmse"] == pytest.approx(one["validation"]["rmse"], rel=0.02)
    assert two["limit"] == 2 * one["limit"]
    # Its first tree was grown from more posts than either worker holds.
    tensors = load(Registry(store).load(crew.model).weights)
    booster = lightgbm.Booster(model_str=tensors["boosting.middle.0"].tobytes().decode())
    assert booster.dump_model()["tree_info"][0]["tree_structure"]["internal_count"] > 0.59 * crew.rows
    assert evaluate.run(store, crew.model, resamples=50).test_posts == judged.test_posts
    assert not list(store.objects("runs"))
    with pytest.raises(ConfigError, match="too few for 30 workers to grow trees together"):
        train_ensemble.run(store, EnsembleSpec("m", chosen, "log_views", ("boosting",), workers=30))
