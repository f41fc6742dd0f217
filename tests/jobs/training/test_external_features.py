"""Vectors from elsewhere: brought in once, trained on, scored; and what is no such table."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jobs import evaluate, score, train_network
from jobs.scoring.files import score_files, video_drafts
from jobs.training.external_features import import_features
from jobs.training.specs import TrainSpec
from tests.conftest import CORPUS_POSTS
from viral.errors import TableError, WeightsError
from viral.extractors.extractor import Context
from viral.extractors.feature_set import FeatureSet
from viral.features.feature_table import features_table
from viral.models.train_config import TrainConfig
from viral.registry.registry import Registry
from viral.storage.store import Store
from viral.tables import replaced
from viral.tables.places import labels_prefix
from viral.tables.schemas import LABELS

DIMS = {"metadata": 4, "image": 6}


def vectors(ids: list[str], *, seed: int = 0) -> pa.Table:
    """`metadata` for all, of fixed size; `image` for two of three, of doubles."""
    chance = np.random.default_rng(seed)
    rows = [list(chance.normal(size=4)) for _ in ids]
    images = [None if place % 3 == 0 else list(chance.normal(size=6)) for place in range(len(ids))]
    columns = {
        "metadata": pa.array(rows, pa.list_(pa.float32(), 4)),
        "image": pa.array(images, pa.large_list(pa.float64())),
    }
    return pa.table({"post_id": pa.array(ids, pa.large_string()), **columns, "note": ["left out"] * len(ids)})


@pytest.fixture
def root(tmp_path: Path) -> Store:
    (tmp_path / "root").mkdir()
    return Store.open(tmp_path / "root")


def written(folder: Path, *tables: pa.Table) -> str:
    folder.mkdir()
    for place, table in enumerate(tables):
        pq.write_table(table, folder / f"{place}.parquet")
    return str(folder)


def test_a_table_is_brought_in_once(tmp_path, root):
    ids, store = [f"post {number}" for number in range(10_000)], root
    source = written(tmp_path / "my vectors", vectors(ids[:9_000]), vectors(ids[9_000:], seed=1))
    chosen = import_features(store, source)
    assert (chosen.name, chosen.dims, chosen.modalities) == ("my-vectors", DIMS, {name: name for name in DIMS})
    assert FeatureSet.from_dict(chosen.to_dict()) == chosen
    rows = features_table(store, chosen).read()
    assert rows.num_rows == 10_000
    assert rows["image"].null_count == 3000 + 334
    given = dict(zip(ids, vectors(ids[:9_000])["metadata"].to_pylist(), strict=False))
    for post, vector in zip(rows["post_id"].to_pylist()[:50], rows["metadata"].to_pylist(), strict=False):
        if post in given:
            np.testing.assert_allclose(vector, given[post], rtol=1e-6)
    before = sorted(info.key for info in store.objects(""))
    assert import_features(store, source).table == chosen.table
    assert sorted(info.key for info in store.objects("")) == before
    pq.write_table(vectors(ids[:20], seed=2), Path(source, "2.parquet"))
    assert import_features(store, source).table != chosen.table


def test_what_is_no_such_table(tmp_path, root):
    def refused(table: pa.Table, message: str) -> None:
        path = tmp_path / "one.parquet"
        pq.write_table(table, path)
        with pytest.raises(TableError, match=message):
            import_features(root, str(path))

    some = vectors(["a", "b", "c"])
    with pytest.raises(TableError, match="there is no Parquet file at"):
        import_features(root, str(tmp_path / "none.parquet"))
    (tmp_path / "text.parquet").write_text("no Parquet")
    with pytest.raises(TableError, match="is not readable Parquet"):
        import_features(root, str(tmp_path / "text.parquet"))
    refused(some.drop_columns("post_id"), "post_id and lists of numbers are needed")
    refused(some.select(["post_id", "note"]), "post_id and lists of numbers are needed")
    refused(some.rename_columns(["post_id", "target", "image", "note"]), "the column target of .* has a reserved name")
    refused(some.slice(0, 1), "no row of .* has a vector in image")
    uneven = pa.array([[1.0, 2.0], [1.0]], pa.list_(pa.float32()))
    refused(pa.table({"post_id": ["a", "b"], "text": uneven}), "the vectors in text have 2 values, others 1")
    fixed = pa.array([[1.0, 2.0], None], pa.list_(pa.float32(), 2))
    refused(pa.table({"post_id": ["a", "b"], "text": fixed}), "cannot be read, .*: write lists")
    odd = pa.array([[1.0, float("nan")]], pa.list_(pa.float32()))
    refused(pa.table({"post_id": ["a"], "text": odd}), "a vector in text has a value that is not finite")
    nameless = pa.table({"post_id": pa.array([None], pa.string()), "text": pa.array([[1.0]], pa.list_(pa.float32()))})
    refused(nameless, "has no post_id")


@pytest.mark.usefixtures("ray_session")
def test_a_model_of_it_scores_its_posts_and_no_file(flow, tmp_path):
    shutil.copytree(flow.store.root, tmp_path / "root", ignore=shutil.ignore_patterns("models", "features"))
    store = Store.open(tmp_path / "root")
    ids = features_table(flow.store, flow.feature_set).read(columns=["post_id"])["post_id"].to_pylist()
    labels = (
        replaced.open_current(store, labels_prefix("log_views"), LABELS)[0]
        .read(columns=["post_id", "split"])
        .to_pylist()
    )
    learnt = {row["post_id"] for row in labels if row["split"] == "train"}
    words = pa.array([None if post in learnt else [1.0, 2.0] for post in ids], pa.list_(pa.float32()))
    chosen = import_features(store, written(tmp_path / "mine", vectors(ids).append_column("words", words)))
    spec = TrainSpec("mine", chosen, "log_views", workers=0, architecture="concat")
    said = train_network.run(store, spec, TrainConfig(epochs=2))
    notes = Registry(store).load(said.model).card["notes"]
    assert "no training post has words: the model ignores it" in notes
    scored = score.run(store, said.model)
    assert (scored.scored, scored.without_features) == (CORPUS_POSTS, 0)
    judged = evaluate.run(store, said.model, resamples=50)
    assert judged.test_posts == flow.judged.test_posts
    assert judged.unaudited == ["the same video on both sides: the feature table has no hash of any file"]
    with pytest.raises(WeightsError, match=r"vectors metadata came with a table .* score the posts of that table"):
        score_files(store, said.model, video_drafts(["any.mp4"], Context()), as_json=True)
