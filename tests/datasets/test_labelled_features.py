"""Features joined with labels: which rows, which statistics, which hash."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from viral.datasets.labelled_features import (
    LabelledFeatures,
    RunningMoments,
    Statistics,
    compute_moments,
    sum_statistics,
    target_arrays,
)
from viral.datasets.streams import Stream
from viral.storage.store import Store
from viral.tables.bucketed import BucketedTable
from viral.tables.schemas import LABELS, feature_schema

STREAMS = (Stream("metadata", "metadata", 3), Stream("caption", "text", 2))
SPLITS = ("train", "validation", "test", "unused")
POSTS = 120


def label_rows(posts: Iterable[int], **changed: Any) -> pa.Table:
    rows = [
        {
            "post_id": f"post {post}",
            "author_id": f"author {post % 7}" if post % 11 else None,
            "posted_at": datetime(2025, 1, 1 + post % 28, tzinfo=UTC),
            "split": SPLITS[post % 4],
            "target": post / 3,
            "is_viral": post % 5 == 0,
            "likes_rate": -float(post % 3) if post % 2 else None,
            **changed,
        }
        for post in posts
    ]
    return pa.Table.from_pylist(rows, schema=LABELS)


def feature_rows(posts: Iterable[int], attempt: int = 0, nudge: float = 0.0) -> pa.Table:
    """Every third post has no caption, every tenth has nothing."""
    rows = [
        {
            "post_id": f"post {post}",
            "attempt": attempt,
            "status": "ok" if post % 10 else "failed",
            "finished_at": datetime(2025, 6, 1, tzinfo=UTC),
            "feature_set": "f",
            "code_version": "0",
            "metadata": [post + nudge, 1.0, post % 4 * 1000] if post % 10 else None,
            "caption": [0.5 * post, -post] if post % 3 and post % 10 else None,
        }
        for post in posts
    ]
    return pa.Table.from_pylist(rows, schema=feature_schema(["metadata", "caption"]))


def store_all(
    root: Any, posts: Iterable[int] = range(POSTS), streams: tuple[Stream, ...] = STREAMS
) -> LabelledFeatures:
    """The data in one file per table."""
    data = empty(root, streams)
    data.features.append(feature_rows(posts), log2_buckets=0)
    data.labels.append(label_rows(posts), log2_buckets=0)
    return data


def empty(root: Any, streams: tuple[Stream, ...] = STREAMS) -> LabelledFeatures:
    store = Store(root)
    table = BucketedTable(
        store, "features/f", feature_schema(["metadata", "caption"]), key="post_id", newest_by="attempt"
    )
    return LabelledFeatures(table, BucketedTable(store, "labels/l", LABELS, key="post_id"), streams)


def collect(data: LabelledFeatures, log2_buckets: int) -> Statistics:
    return sum_statistics(data.statistics(log2_buckets, bucket) for bucket in range(1 << log2_buckets))


def authors_of(rows: pa.Table) -> dict[str, set[str]]:
    """Authors by split; a post without author counts as its own."""
    actual: dict[str, set[str]] = {}
    for row in rows.to_pylist():
        actual.setdefault(row["split"], set()).add(row["author_id"] or row["post_id"])
    return actual


def test_a_share_of_the_training_authors(any_root: str) -> None:
    """Whole authors are dropped, of the training split alone; smaller fractions are subsets of larger ones."""
    data = empty(any_root)
    data.features.append(feature_rows(range(POSTS)), log2_buckets=0)
    data.labels.append(label_rows(range(POSTS), author_id=None), log2_buckets=0)
    whole = data.read(0, 0, SPLITS)
    half, quarter = (replace(data, author_fraction=share).read(0, 0, SPLITS) for share in (0.5, 0.25))
    all_of, half_of, quarter_of = (authors_of(rows) for rows in (whole, half, quarter))
    assert quarter_of["train"] < half_of["train"] < all_of["train"]
    assert 0.25 < len(half_of["train"]) / len(all_of["train"]) < 0.75
    assert {**half_of, "train": all_of["train"]} == all_of
    assert replace(data, author_fraction=1.0).read(0, 0, SPLITS).equals(whole)
    statistics = collect(replace(data, author_fraction=0.5), log2_buckets=1)
    assert statistics.rows == len(half_of["train"])
    assert statistics.data_hash != collect(data, log2_buckets=1).data_hash


def test_an_author_stays_or_goes_as_a_whole(tmp_path: Any) -> None:
    train = replace(store_all(tmp_path), author_fraction=0.5).read(0, 0, ("train",))
    named = {row["author_id"] for row in train.to_pylist() if row["author_id"]}
    for row in store_all(tmp_path).read(0, 0, ("train",)).to_pylist():
        if row["author_id"] in named:
            assert row["post_id"] in train["post_id"].to_pylist()
    assert 0 < len(named) < 7


def test_what_is_read_beside_makes_no_row(any_root: str) -> None:
    """For a model of captions alone and a baseline that reads the metadata of the same posts."""
    data = replace(store_all(any_root, streams=STREAMS[1:]), extra_columns=("metadata",))
    rows = data.read(0, 0, SPLITS)
    assert rows.num_rows == sum(1 for post in range(POSTS) if post % 3 and post % 10)
    assert rows["caption"].null_count == rows["metadata"].null_count == 0
    assert set(collect(data, 0).moments) == {"caption", "target", "is_viral"}


def test_the_join_keeps_labelled_rows_with_any_vector(any_root: str) -> None:
    data = empty(any_root)
    data.features.append(feature_rows(range(20, POSTS)), log2_buckets=1)
    data.labels.append(label_rows(range(80)), log2_buckets=2)
    for log2_buckets in (0, 3):
        rows = pa.concat_tables(
            [data.read(log2_buckets, bucket, ("train", "test")) for bucket in range(1 << log2_buckets)]
        )
        expected = [post for post in range(20, 80) if post % 10 and SPLITS[post % 4] in ("train", "test")]
        assert rows.column_names == [*LABELS.names, "metadata", "caption"]
        assert sorted(rows["post_id"].to_pylist()) == sorted(f"post {post}" for post in expected)
    for row in data.read(0, 0, ("train", "validation", "test", "unused")).to_pylist():
        post = int(row["post_id"].removeprefix("post "))
        assert row["target"] == post / 3
        assert row["metadata"] == [post, 1, post % 4 * 1000]
        assert row["caption"] == ([0.5 * post, -post] if post % 3 else None)


def test_rows_come_in_order_of_post(tmp_path: Any) -> None:
    rows = store_all(tmp_path).read(0, 0, ("train",))
    assert rows["post_id"].to_pylist() == sorted(rows["post_id"].to_pylist())


def test_only_the_wanted_streams_count(tmp_path: Any) -> None:
    data = store_all(tmp_path, streams=STREAMS[1:])
    rows = data.read(0, 0, SPLITS)
    assert rows.column_names == [*LABELS.names, "caption"]
    assert pc.all(pc.is_valid(rows["caption"])).as_py()


def test_nothing_in_common(tmp_path: Any) -> None:
    data = empty(tmp_path)
    assert data.read(0, 0, SPLITS).num_rows == 0
    data.features.append(feature_rows(range(5)), log2_buckets=0)
    data.labels.append(label_rows(range(50, 60)), log2_buckets=0)
    assert data.read(0, 0, SPLITS).num_rows == 0
    nothing = collect(data, 1)
    assert (nothing.rows, nothing.moments) == (0, {})


@pytest.mark.parametrize("log2_buckets", [0, 3])
def test_statistics_are_numpys_over_the_training_split(any_root: str, log2_buckets: int) -> None:
    actual = collect(store_all(any_root), log2_buckets)
    posts = np.array([post for post in range(POSTS) if post % 4 == 0 and post % 10])
    assert actual.rows == len(posts)
    vectors = np.stack([posts, np.ones(len(posts)), posts % 4 * 1000], axis=1)
    metadata = actual.moments["metadata"]
    np.testing.assert_allclose(metadata.mean, vectors.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(metadata.scale, [vectors[:, 0].std(), 1, 1], rtol=1e-9)
    captions = posts[posts % 3 > 0]
    assert actual.moments["caption"].count == len(captions)
    np.testing.assert_allclose(actual.moments["caption"].scale, [(0.5 * captions).std(), captions.std()], rtol=1e-9)
    np.testing.assert_allclose(actual.moments["target"].mean, (posts / 3).mean(), rtol=1e-12)
    np.testing.assert_allclose(actual.moments["target"].scale, (posts / 3).std(), rtol=1e-9)


def test_a_stream_that_training_posts_never_have_is_not_there(tmp_path: Any) -> None:
    data = store_all(tmp_path, posts=range(0, POSTS, 3))
    assert set(collect(data, 0).moments) == {"metadata", "target", "is_viral"}


def test_moments_of_large_and_of_constant_values() -> None:
    values = 1e4 + np.random.default_rng(0).normal(size=(1000, 1))
    moments = RunningMoments(1000, values.sum(axis=0), (values**2).sum(axis=0))
    np.testing.assert_allclose(moments.scale, values.std(axis=0), rtol=1e-6)
    constant = np.full((1000, 1), 0.1)
    assert RunningMoments(1000, constant.sum(axis=0), (constant**2).sum(axis=0)).scale.tolist() == [1.0]
    assert RunningMoments(0, np.zeros(2), np.zeros(2)).mean.tolist() == [0, 0]
    assert RunningMoments(0, np.zeros(2), np.zeros(2)).scale.tolist() == [1, 1]


def test_the_hash_does_not_change_with_how_the_data_is_stored(tmp_path: Any) -> None:
    expected = collect(store_all(tmp_path / "whole"), 0).data_hash
    split_up = empty(tmp_path / "cut", streams=STREAMS[::-1])
    order = np.random.default_rng(0).permutation(POSTS)
    for log2_buckets, posts in enumerate(np.array_split(order, 4)):
        split_up.features.append(feature_rows(posts.tolist(), attempt=0, nudge=1.0), log2_buckets)
        split_up.features.append(feature_rows(posts.tolist(), attempt=1), 3 - log2_buckets)
        split_up.labels.append(label_rows(posts.tolist()), log2_buckets)
    assert [collect(split_up, log2_buckets).data_hash for log2_buckets in (0, 1, 4)] == [expected] * 3
    for bucket in range(4):
        split_up.features.merge(None, 2, bucket)
    split_up.features.drop_superseded(2)
    assert collect(split_up, 2).data_hash == expected


@pytest.mark.parametrize(
    "changed",
    [
        {"target": 0.5},
        {"is_viral": True},
        {"split": "test"},
        {"likes_rate": None},
        {"shares_rate": 0.0},
        {"author_id": "another"},
        {"posted_at": None},
    ],
)
def test_the_hash_changes_with_any_label(tmp_path: Any, changed: dict[str, Any]) -> None:
    before, after = store_all(tmp_path / "before"), empty(tmp_path / "after")
    after.features.append(feature_rows(range(POSTS)), log2_buckets=0)
    after.labels.append(pa.concat_tables([label_rows([1], **changed), label_rows(range(2, POSTS))]), log2_buckets=0)
    twin = empty(tmp_path / "twin")
    twin.features.append(feature_rows(range(POSTS)), log2_buckets=0)
    twin.labels.append(label_rows(range(1, POSTS)), log2_buckets=0)
    assert collect(twin, 0).data_hash == collect(before, 0).data_hash  # post 0 has no vector
    assert collect(after, 0).data_hash != collect(before, 0).data_hash


def test_the_hash_changes_with_vectors_and_posts(tmp_path: Any) -> None:
    whole = store_all(tmp_path / "whole")
    fewer = store_all(tmp_path / "fewer", range(POSTS - 2))
    one_stream = store_all(tmp_path / "one", streams=STREAMS[:1])
    nudged = store_all(tmp_path / "nudged")
    nudged.features.append(feature_rows([6], attempt=1, nudge=1e-3), log2_buckets=0)
    hashes = [collect(data, 0).data_hash for data in (whole, fewer, one_stream, nudged)]
    assert len(set(hashes)) == 4


def test_targets_as_arrays() -> None:
    actual = target_arrays(label_rows([1, 5]))
    np.testing.assert_array_equal(actual["target"], np.array([1 / 3, 5 / 3], np.float32))
    assert actual["is_viral"].tolist() == [0, 1]
    assert actual["likes_rate"].tolist() == [-1, -2]
    assert np.isnan(actual["shares_rate"]).all()
    assert {values.dtype for values in actual.values()} == {np.dtype(np.float32)}


def test_moments_do_not_depend_on_the_slices_they_are_added_up_in(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors = np.random.default_rng(0).normal(1000, 1, (50, 3)).astype(np.float32)
    whole = compute_moments(vectors)
    monkeypatch.setattr("viral.datasets.labelled_features._SLICE", 7)
    pieces = compute_moments(vectors)
    assert whole.count == pieces.count == 50
    np.testing.assert_allclose(pieces.mean, vectors.astype(np.float64).mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(pieces.scale, vectors.astype(np.float64).std(axis=0), rtol=1e-6)
