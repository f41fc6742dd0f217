"""Label tables: what was fitted lies beside them."""

from __future__ import annotations

import pickle
import shutil

import pyarrow as pa
import pytest

from jobs import ingest, label
from jobs.ingesting.source import IngestSource
from jobs.training.labelled import labelled_features
from viral.datasets.labelled_features import SPLITS
from viral.datasets.streams import streams_of
from viral.duplicates import videos
from viral.errors import ConfigError, TableError
from viral.evaluation.splits import SplitSpec
from viral.features.feature_table import load_features
from viral.labels import LabelSpec
from viral.storage.store import Store
from viral.tables import replaced
from viral.tables.places import posts_table
from viral.tables.schemas import LABELS


@pytest.fixture(scope="module")
def trending(ray_session, shared_data, tmp_path_factory) -> Store:
    store = Store.open(tmp_path_factory.mktemp("trending"))
    ingest.run(store, IngestSource("trending_json", (str(shared_data / "trending_dec2020"),)))
    return store


def read(store: Store, name: str):
    table, about = replaced.open_current(store, f"labels/{name}", LABELS)
    return table.read(), about


def test_the_weights_of_virality_are_fitted_on_the_training_split_and_stored(trending):
    summary = label.run(trending, LabelSpec("correlation_weighted"), SplitSpec("random"))
    rows, about = read(trending, "correlation_weighted")
    assert (summary.posts, summary.labelled, summary.dropped, rows.num_rows) == (1000, 1000, {}, 1000)
    assert sum(summary.splits.values()) == 1000
    fitted = about["fitted"]["fitted"] if "fitted" in about["fitted"] else about["fitted"]
    # All posts give 0.0204, 0.0866, 0.2260; two thirds of them something near.
    for name, of_all in (("likes", 0.0204114), ("comments", 0.0865957), ("shares", 0.2260354)):
        assert fitted[name] == pytest.approx(of_all, rel=0.5)
        assert fitted[name] != pytest.approx(of_all, rel=1e-6)
    posts = {post["post_id"]: post for post in posts_table(trending).read().to_pylist()}
    for row in rows.slice(0, 20).to_pylist():
        post = posts[row["post_id"]]
        by_hand = post["views"] + sum(fitted[name] * post[name] for name in ("likes", "comments", "shares"))
        assert row["target"] == pytest.approx(by_hand)


@pytest.fixture
def store(flow, tmp_path) -> Store:
    """A copy of the root of the corpus."""
    shutil.copytree(flow.store.root, tmp_path / "root", ignore=shutil.ignore_patterns("models", "predictions"))
    return Store.open(tmp_path / "root")


def test_the_same_again_is_the_same_table_and_another_name_another(store):
    split = SplitSpec("author", seed=3)
    label.run(store, LabelSpec("log_views"), split, name="mine")
    first, about = read(store, "mine")
    label.run(store, LabelSpec("log_views"), split, name="mine")
    again, about_again = read(store, "mine")
    assert (first.equals(again), about == about_again) == (True, True)
    files = [info.key for info in store.objects("labels/mine") if info.key.endswith(".parquet")]
    assert len({store.read(file) for file in files}) == 1  # the replaced one stays for its readers
    label.run(store, LabelSpec("log_views"), SplitSpec("author", seed=4), name="other")
    assert read(store, "other")[0]["split"].to_pylist() != first["split"].to_pylist()


def test_a_training_keeps_the_labels_that_it_began_with(store, flow):
    """`viral label` under the same name used to end it."""
    label.run(store, LabelSpec("log_views"), SplitSpec("author", seed=3))
    data, _ = labelled_features(store, flow.feature_set, "log_views", streams_of(flow.feature_set))
    before = data.read(0, 0, SPLITS)
    for seed in (4, 5):
        label.run(store, LabelSpec("log_views"), SplitSpec("author", seed=seed))
    assert data.read(0, 0, SPLITS).equals(before)
    assert pickle.loads(pickle.dumps(data)).read(0, 0, SPLITS).equals(before)
    later, _ = labelled_features(store, flow.feature_set, "log_views", streams_of(flow.feature_set))
    assert later.read(0, 0, SPLITS)["split"].to_pylist() != before["split"].to_pylist()


@pytest.mark.parametrize("log2_buckets", [0, 3])
def test_hashes_are_those_of_each_post_however_many_buckets(flow, monkeypatch, log2_buckets):
    monkeypatch.setattr(videos, "log2_buckets_for", lambda rows: log2_buckets)
    rows = load_features(flow.store, flow.feature_set, ["post_id", "sha256"])
    known = dict(zip(rows["post_id"].to_pylist(), rows["sha256"].to_pylist(), strict=True))
    asked = [*list(known)[::-1], "unknown", list(known)[3]]
    found = videos.video_columns(flow.store, pa.chunked_array([asked[:5], asked[5:]]))["sha256"]
    assert found.to_pylist() == [known.get(post) for post in asked]
    assert videos.video_columns(flow.store, pa.chunked_array([[]], pa.string())).num_rows == 0


def test_posts_that_lack_what_is_needed_are_dropped_and_counted(ray_session, tmp_path):
    lines = ["post_id,author_id,posted_at,views,likes"]
    lines += [f"p{n},a{n % 20},{1_600_000_000 + n * 3600},{n * 10},{n}" for n in range(60)]
    lines += ["x,ax,1600000000,,4", "y,ay,,50,4"]
    (tmp_path / "p.csv").write_text("\n".join(lines))
    store = Store.open(tmp_path)
    ingest.run(store, IngestSource("csv", (str(tmp_path / "p.csv"),)))
    summary = label.run(store, LabelSpec("log_views"), SplitSpec("time"))
    assert (summary.posts, summary.labelled) == (62, 60)
    assert summary.dropped.pop("no posting time") == 1
    assert list(summary.dropped.values()) == [1]


def test_what_cannot_be_labelled(ray_session, tmp_path):
    store = Store.open(tmp_path)
    with pytest.raises(TableError, match="is empty: ingest some first"):
        label.run(store, LabelSpec("log_views"), SplitSpec("author"))
    (tmp_path / "p.csv").write_text("post_id,author_id,views\n" + "\n".join(f"p{n},a{n},{n * 10}" for n in range(20)))
    ingest.run(store, IngestSource("csv", (str(tmp_path / "p.csv"),)))
    with pytest.raises(ConfigError, match="is not a valid name"):
        label.run(store, LabelSpec("log_views"), SplitSpec("author"), name="a/b")
    with pytest.raises(TableError, match=r"no training post has .*author_followers"):
        label.run(store, LabelSpec("views_per_follower"), SplitSpec("author"))
    assert not list(store.objects("labels/views_per_follower"))
