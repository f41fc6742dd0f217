"""The audit rejects a model with a leak; each leak is planted in a copy of a clean root."""

from __future__ import annotations

import shutil
import sys
import uuid
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from safetensors.numpy import load, save

from jobs import audit, evaluate, label
from jobs.evaluating import audit_reading
from jobs.training.calibrate import calibrate
from jobs.training.external_features import import_features
from tests.conftest import CORPUS_POSTS
from tests.jobs.leaky_root import copy_video, ids, labels_of, leak_message, relabelled, resaved
from viral.console.commands import execute
from viral.datasets.labelled_features import compute_moments
from viral.datasets.streams import from_dict
from viral.errors import LeakError, TableError
from viral.evaluation.splits import SplitSpec
from viral.features.feature_table import features_table
from viral.labels import LabelSpec
from viral.models.ensemble.predictor import to_bytes
from viral.models.ensemble.rows import Layout
from viral.registry.registry import Registry
from viral.scoring.reference import Reference
from viral.storage.store import Store
from viral.tables import replaced
from viral.tables.places import posts_table
from viral.tables.schemas import LABELS

pytestmark = pytest.mark.usefixtures("ray_session")


@pytest.fixture
def store(flow, tmp_path: Path) -> Store:
    """A copy of the root of the corpus, to plant leaks in."""
    shutil.copytree(flow.store.root, tmp_path / "root", ignore=shutil.ignore_patterns("predictions", "history"))
    return Store.open(tmp_path / "root")


def test_the_clean_run_passes(flow):
    assert flow.judged.unaudited == []
    summary = audit.run(flow.store, flow.trained.model)
    assert (summary.posts, summary.sampled, summary.unchecked) == (CORPUS_POSTS, CORPUS_POSTS, [])


def test_of_many_posts_a_sample_is_audited_and_says_so(store, monkeypatch):
    """All posts of some authors, videos and sounds: what splits share among them is found."""
    for module in (audit, audit_reading):
        monkeypatch.setattr(module, "AUDITED_POSTS", 20)
    summary = audit.run(store, "fused/1")
    assert 0 < summary.posts < CORPUS_POSTS
    [note] = summary.unchecked
    assert note.startswith(f"{summary.posts} of {CORPUS_POSTS} posts are compared between the splits")
    rows, about = labels_of(store)
    splits = pa.array([("train", "test")[number % 2] for number in range(rows.num_rows)])
    mixed = rows.set_column(rows.column_names.index("split"), LABELS.field("split"), splits)
    message = leak_message(store, resaved(store, label=relabelled(store, mixed.cast(LABELS), about)))
    assert "an author is in two parts of a split" in message


def test_counts_among_foreign_vectors(store, tmp_path):
    posts = posts_table(store).read(columns=["post_id", "views"])
    views = np.log1p(posts["views"].to_numpy().astype(np.float32))
    for column, check in (("playCount", "named_count"), ("numbers", "count_value")):
        vectors = [[0.5, float(value)] for value in views]
        table = pa.table({"post_id": posts["post_id"], column: pa.array(vectors, pa.list_(pa.float32()))})
        pq.write_table(table, tmp_path / f"{column}.parquet")
        chosen = import_features(store, str(tmp_path / f"{column}.parquet"))
        streams = [{"name": column, "modality": column, "dim": 2, "tokens": 1}]
        made = {"config": {"streams": streams}, "feature_set": chosen.to_dict()}
        empty = save({"nothing": np.zeros(1)})
        model = resaved(store, empty, column, **made)
        assert f"{check}: an input" in leak_message(store, model, audit.run)
        early = audit.run(store, resaved(store, empty, f"early-signal-{column}", **made))
        assert any("means and scales in early-signal" in note for note in early.unchecked)
        assert any("is meant to look at early ones" in note for note in early.unchecked)


def external_model(store: Store, tmp_path: Path, vectors: dict[str, list[float]]) -> str:
    """Save a model of vectors made elsewhere."""
    table = {"post_id": list(vectors), "numbers": pa.array(list(vectors.values()), pa.list_(pa.float32()))}
    pq.write_table(pa.table(table), tmp_path / "vectors.parquet")
    chosen = import_features(store, str(tmp_path / "vectors.parquet"))
    streams = [{"name": "numbers", "modality": "numbers", "dim": 3, "tokens": 1}]
    config = {"config": {"streams": streams}, "feature_set": chosen.to_dict()}
    return resaved(store, save({"nothing": np.zeros(1)}), "external", **config)


def test_copies_among_vectors_made_elsewhere(store, flow, tmp_path):
    rows, _ = labels_of(store)
    train, tests = ids(rows, "train")[0], ids(rows, "test")
    rng = np.random.default_rng(0)
    vectors = {post: rng.normal(size=3).tolist() for post in rows["post_id"].to_pylist()}
    assert audit.run(store, external_model(store, tmp_path, vectors)).result == "no leak found"
    twins = vectors | {tests[0]: vectors[train]}
    message = leak_message(store, external_model(store, tmp_path, twins), audit.run)
    assert "shared_inputs: a test post has the same input numbers as one that was learnt from" in message
    assert f"(numbers, 1 post: {tests[0]})" in message
    # The hash of a video is that of another feature table of the root.
    copy_video(store, flow, tests[1], train)
    message = leak_message(store, external_model(store, tmp_path, vectors), audit.run)
    assert f"(video, 1 post: {tests[1]})" in message


@pytest.mark.parametrize("columns", [("sha256",), ("video_hash", "seen_seconds")], ids=["file", "near-duplicate"])
def test_a_video_on_both_sides(store, flow, columns):
    rows, _ = labels_of(store)
    train, test = ids(rows, "train")[0], ids(rows, "test")[0]
    copy_video(store, flow, test, train, columns)
    message = leak_message(store, resaved(store))
    assert "shared_video: a test post has the video of one that was learnt from, or a near-duplicate" in message
    assert f"(video, 1 post: {test})" in message


def test_no_two_reference_posts_show_the_same_video(store, flow):
    rows, _ = labels_of(store)
    in_time = rows.filter(pc.equal(rows["split"], "train")).sort_by(
        [("posted_at", "ascending"), ("post_id", "ascending")]
    )
    first, second = in_time["post_id"].to_pylist()[:2]
    copy_video(store, flow, second, first)
    saved = Registry(store).load("fused")
    calibrate(store, saved)
    reference = Reference.load(store, saved.prefix)
    assert reference is not None
    assert set(ids(rows, "train")) - set(reference.rows["post_id"].to_pylist()) == {second}


def test_an_author_on_both_sides(store):
    rows, _ = labels_of(store)
    train, test = ids(rows, "train")[0], ids(rows, "test")[0]
    authors = rows["author_id"].to_pylist()
    authors[rows["post_id"].to_pylist().index(test)] = authors[rows["post_id"].to_pylist().index(train)]
    relabelled(store, rows.set_column(1, "author_id", pa.array(authors)), labels_of(store)[1])
    assert f"(author_id, 1 post: {test})" in leak_message(store, resaved(store))


def test_the_fix_for_copies_is_to_label_again(store, flow):
    features = features_table(store, flow.feature_set)
    first, second = (
        posts_table(store).read(columns=["post_id", "posted_at"]).sort_by("posted_at")["post_id"].to_pylist()[:2]
    )
    rows = {row["post_id"]: row for row in features.read().to_pylist()}
    copy = rows[second] | {"attempt": 9, "sha256": rows[first]["sha256"]}
    features.append(pa.Table.from_pylist([copy], schema=features.schema), 0)
    labelled = label.run(store, LabelSpec("log_views"), SplitSpec("random"))
    assert (labelled.copies, labelled.labelled, labelled.splits["unused"]) == (1, CORPUS_POSTS, 1)
    assert ids(labels_of(store)[0], "unused") == [second]
    kept = label.run(store, LabelSpec("log_views"), SplitSpec("random"), keep_copies=True)
    assert (kept.copies, kept.splits["unused"]) == (0, 0)
    with pytest.raises(TableError, match="replaced since fused/1 was trained: train again"):
        audit.run(store, "fused")


def test_sounds_on_both_sides(store):
    rows, about = labels_of(store)
    about = {**about, "split": {**about["split"], "kind": "sound"}}
    relabelled(store, rows, about)
    posts = posts_table(store)
    test = ids(rows, "test")[0]
    pair = (ids(rows, "train")[0], test)
    changed = posts.read()
    scraped = pc.add(pc.coalesce(changed["scraped_at"], changed["posted_at"]), pa.scalar(10**12, pa.duration("us")))
    changed = changed.set_column(changed.column_names.index("scraped_at"), "scraped_at", scraped)
    sounds = pa.array(["hit" if post in pair else f"of {post}" for post in changed["post_id"].to_pylist()], pa.string())
    posts.append(changed.set_column(changed.column_names.index("sound_id"), "sound_id", sounds), 0)
    assert f"(sound_id, 1 post: {test})" in leak_message(store, resaved(store, label=about))


def test_scalers_of_all_posts(store, flow):
    saved = Registry(store).load("fused")
    vectors = [each for each in features_table(store, flow.feature_set).read()["craft"].to_pylist() if each]
    of_all = compute_moments(np.array(vectors, np.float32))
    tensors = load(saved.weights)
    for name in ("mean", "scale"):
        tensors[f"projections.craft.{name}"] = getattr(of_all, name).astype(np.float32)
    message = leak_message(store, resaved(store, save(tensors)))
    assert "scalers: the mean or scale of " in message
    assert "(craft); train again" in message


def test_a_target_and_a_threshold_of_all_posts(store):
    rows, about = labels_of(store)
    target = rows["target"].to_numpy()
    scaled = resaved(store, target={"mean": float(target.mean()), "scale": float(target.std())})
    assert "target_scale: the target's mean and scale in leaking/1" in leak_message(store, scaled)
    about = {**about, "fitted": {**about["fitted"], "threshold": float(np.quantile(target, 0.75))}}
    relabelled(store, rows, about)
    assert "label_constants: threshold is" in leak_message(store, resaved(store, label=about))


def test_neighbours_that_are_no_training_posts(store):
    rows, _ = labels_of(store)
    saved = Registry(store).load("fused")
    streams, scaling = from_dict(saved.card["config"]["streams"]), saved.card["target"]
    width = sum(stream.dim for stream in streams)
    layout = Layout(streams, np.zeros(width, np.float32), np.ones(width, np.float32))
    scores = (rows["target"].to_numpy() - scaling["mean"]) / scaling["scale"]
    weights = to_bytes(layout, {"knn": {"score": scores}})
    message = leak_message(
        store, resaved(store, weights, kind="ensemble", data_hash="another: no word on scalers"), audit.run
    )
    held = [*ids(rows, "test"), *ids(rows, "validation")]
    assert f"neighbour_posts: {len(held)} of the posts" in message
    assert f", {len(held)} posts: " in message


def test_posts_to_compare_with_that_are_no_training_posts(store):
    prefix = Registry(store).load("fused").prefix
    reference = Reference.load(store, prefix)
    (test, *_) = ids(labels_of(store)[0], "test")
    names = pa.array([test, *reference.rows["post_id"].to_pylist()[1:]])
    reference.rows = reference.rows.set_column(reference.rows.column_names.index("post_id"), "post_id", names)
    reference.save(store, prefix)
    with pytest.raises(LeakError, match=f"reference_posts: .*, 1 post: {test}"):
        audit.run(store, "fused")


def test_neighbours_whose_times_are_kept_wrong(store):
    prefix = Registry(store).load("fused").prefix
    reference = Reference.load(store, prefix)
    long_ago = pa.array(
        [datetime(2001, 1, 1, tzinfo=UTC)] * reference.rows.num_rows, reference.rows.schema.field("posted_at").type
    )
    rows = reference.rows.set_column(reference.rows.column_names.index("posted_at"), "posted_at", long_ago)
    reference.rows = rows
    reference.save(store, prefix)
    with pytest.raises(LeakError, match="future_neighbours: a post is compared with a later one"):
        audit.run(store, "fused")


def test_what_a_model_had_learnt_before(store):
    rows, about = labels_of(store)
    version = uuid.uuid4().hex[:12]
    other = {**about, "name": "other"}
    parts = pc.if_else(pc.equal(rows["split"], "test"), "train", rows["split"])
    replaced.begin(store, "labels/other", LABELS, version).append(rows.set_column(3, "split", parts), 0)
    replaced.commit(store, "labels/other", version, other)
    resaved(store, name="before", label=other, data_hash="of other posts")
    message = leak_message(store, resaved(store, continued_from="before/1"))
    assert f"has learnt from test posts (post_id, {len(ids(rows, 'test'))} posts: " in message
    gone = audit.run(store, resaved(store, name="late", continued_from="nobody/1"))
    assert any("what nobody/1 had learnt from: it is gone" in note for note in gone.unchecked)


def test_the_command_says_it_in_one_line_and_exits_2(store, monkeypatch, capsys):
    rows, about = labels_of(store)
    about["fitted"]["threshold"] = 0.0
    relabelled(store, rows, about)
    resaved(store, label=about)
    for command, name in ((evaluate.command, "evaluate"), (audit.command, "audit")):
        monkeypatch.setattr(sys, "argv", [name, "--model", "leaking", "--root", store.root])
        with pytest.raises(SystemExit) as ended:
            execute(command)
        output = capsys.readouterr()
        assert (ended.value.code, output.out) == (2, "")
        assert output.err.startswith("error: the audit found a leak. label_constants: threshold is 0, and ")
        assert output.err.count("\n") == 1
