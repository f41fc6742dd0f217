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

from viral.datasets.labelled_features import LabelledFeatures, Moments, Statistics, moments_of, targets_of, total
from viral.datasets.streams import Stream
from viral.storage.store import Store
from viral.tables.bucketed import Parts
from viral.tables.schemas import LABELS, features

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
    return pa.Table.from_pylist(rows, schema=features(["metadata", "caption"]))


def stored(root: Any, posts: Iterable[int] = range(POSTS), streams: tuple[Stream, ...] = STREAMS) -> LabelledFeatures:
    """The data as one part each."""
    data = empty(root, streams)
    data.features.append(feature_rows(posts), bits=0)
    data.labels.append(label_rows(posts), bits=0)
    return data


def empty(root: Any, streams: tuple[Stream, ...] = STREAMS) -> LabelledFeatures:
    store = Store(root)
    table = Parts(store, "features/f", features(["metadata", "caption"]), key="post_id", newest_by="attempt")
    return LabelledFeatures(table, Parts(store, "labels/l", LABELS, key="post_id"), streams)


def gathered(data: LabelledFeatures, bits: int) -> Statistics:
    return total(data.statistics(bits, bucket) for bucket in range(1 << bits))


def authors_of(rows: pa.Table) -> dict[str, set[str]]:
    """Of each split its authors; a post without one is its own."""
    found: dict[str, set[str]] = {}
    for row in rows.to_pylist():
        found.setdefault(row["split"], set()).add(row["author_id"] or row["post_id"])
    return found


def test_a_share_of_the_training_authors(any_root: str) -> None:
    """Whole authors go, of the training split alone; a smaller share is part of a larger one."""
    data = empty(any_root)
    data.features.append(feature_rows(range(POSTS)), bits=0)
    data.labels.append(label_rows(range(POSTS), author_id=None), bits=0)
    whole = data.read(0, 0, SPLITS)
    half, quarter = (replace(data, share=share).read(0, 0, SPLITS) for share in (0.5, 0.25))
    all_of, half_of, quarter_of = (authors_of(rows) for rows in (whole, half, quarter))
    assert quarter_of["train"] < half_of["train"] < all_of["train"]
    assert 0.25 < len(half_of["train"]) / len(all_of["train"]) < 0.75
    assert {**half_of, "train": all_of["train"]} == all_of
    assert replace(data, share=1.0).read(0, 0, SPLITS).equals(whole)
    statistics = gathered(replace(data, share=0.5), bits=1)
    assert statistics.rows == len(half_of["train"])
    assert statistics.data_hash != gathered(data, bits=1).data_hash


def test_an_author_stays_or_goes_as_a_whole(tmp_path: Any) -> None:
    train = replace(stored(tmp_path), share=0.5).read(0, 0, ("train",))
    named = {row["author_id"] for row in train.to_pylist() if row["author_id"]}
    for row in stored(tmp_path).read(0, 0, ("train",)).to_pylist():
        if row["author_id"] in named:
            assert row["post_id"] in train["post_id"].to_pylist()
    assert 0 < len(named) < 7


def test_what_is_read_beside_makes_no_row(any_root: str) -> None:
    """Of a model that takes captions alone, while a baseline looks at the metadata of the same posts."""
    data = replace(stored(any_root, streams=STREAMS[1:]), beside=("metadata",))
    rows = data.read(0, 0, SPLITS)
    assert rows.num_rows == sum(1 for post in range(POSTS) if post % 3 and post % 10)
    assert rows["caption"].null_count == rows["metadata"].null_count == 0
    assert set(gathered(data, 0).moments) == {"caption", "target", "is_viral"}


def test_the_join_keeps_labelled_rows_with_any_vector(any_root: str) -> None:
    data = empty(any_root)
    data.features.append(feature_rows(range(20, POSTS)), bits=1)
    data.labels.append(label_rows(range(80)), bits=2)
    for bits in (0, 3):
        rows = pa.concat_tables([data.read(bits, bucket, ("train", "test")) for bucket in range(1 << bits)])
        expected = [post for post in range(20, 80) if post % 10 and SPLITS[post % 4] in ("train", "test")]
        assert rows.column_names == [*LABELS.names, "metadata", "caption"]
        assert sorted(rows["post_id"].to_pylist()) == sorted(f"post {post}" for post in expected)
    for row in data.read(0, 0, ("train", "validation", "test", "unused")).to_pylist():
        post = int(row["post_id"].removeprefix("post "))
        assert row["target"] == post / 3
        assert row["metadata"] == [post, 1, post % 4 * 1000]
        assert row["caption"] == ([0.5 * post, -post] if post % 3 else None)


def test_rows_come_in_order_of_post(tmp_path: Any) -> None:
    rows = stored(tmp_path).read(0, 0, ("train",))
    assert rows["post_id"].to_pylist() == sorted(rows["post_id"].to_pylist())


def test_only_the_wanted_streams_count(tmp_path: Any) -> None:
    data = stored(tmp_path, streams=STREAMS[1:])
    rows = data.read(0, 0, SPLITS)
    assert rows.column_names == [*LABELS.names, "caption"]
    assert pc.all(pc.is_valid(rows["caption"])).as_py()


def test_nothing_in_common(tmp_path: Any) -> None:
    data = empty(tmp_path)
    assert data.read(0, 0, SPLITS).num_rows == 0
    data.features.append(feature_rows(range(5)), bits=0)
    data.labels.append(label_rows(range(50, 60)), bits=0)
    assert data.read(0, 0, SPLITS).num_rows == 0
    nothing = gathered(data, 1)
    assert (nothing.rows, nothing.moments) == (0, {})


@pytest.mark.parametrize("bits", [0, 3])
def test_statistics_are_numpys_over_the_training_split(any_root: str, bits: int) -> None:
    found = gathered(stored(any_root), bits)
    posts = np.array([post for post in range(POSTS) if post % 4 == 0 and post % 10])
    assert found.rows == len(posts)
    vectors = np.stack([posts, np.ones(len(posts)), posts % 4 * 1000], axis=1)
    metadata = found.moments["metadata"]
    np.testing.assert_allclose(metadata.mean, vectors.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(metadata.scale, [vectors[:, 0].std(), 1, 1], rtol=1e-9)
    captions = posts[posts % 3 > 0]
    assert found.moments["caption"].count == len(captions)
    np.testing.assert_allclose(found.moments["caption"].scale, [(0.5 * captions).std(), captions.std()], rtol=1e-9)
    np.testing.assert_allclose(found.moments["target"].mean, (posts / 3).mean(), rtol=1e-12)
    np.testing.assert_allclose(found.moments["target"].scale, (posts / 3).std(), rtol=1e-9)


def test_a_stream_that_training_posts_never_have_is_not_there(tmp_path: Any) -> None:
    data = stored(tmp_path, posts=range(0, POSTS, 3))
    assert set(gathered(data, 0).moments) == {"metadata", "target", "is_viral"}


def test_moments_of_large_and_of_constant_values() -> None:
    values = 1e4 + np.random.default_rng(0).normal(size=(1000, 1))
    moments = Moments(1000, values.sum(axis=0), (values**2).sum(axis=0))
    np.testing.assert_allclose(moments.scale, values.std(axis=0), rtol=1e-6)
    constant = np.full((1000, 1), 0.1)
    assert Moments(1000, constant.sum(axis=0), (constant**2).sum(axis=0)).scale.tolist() == [1.0]
    assert Moments(0, np.zeros(2), np.zeros(2)).mean.tolist() == [0, 0]
    assert Moments(0, np.zeros(2), np.zeros(2)).scale.tolist() == [1, 1]


def test_the_hash_does_not_change_with_how_the_data_is_stored(tmp_path: Any) -> None:
    expected = gathered(stored(tmp_path / "whole"), 0).data_hash
    cut = empty(tmp_path / "cut", streams=STREAMS[::-1])
    order = np.random.default_rng(0).permutation(POSTS)
    for bits, posts in enumerate(np.array_split(order, 4)):
        cut.features.append(feature_rows(posts.tolist(), attempt=0, nudge=1.0), bits)
        cut.features.append(feature_rows(posts.tolist(), attempt=1), 3 - bits)
        cut.labels.append(label_rows(posts.tolist()), bits)
    assert [gathered(cut, bits).data_hash for bits in (0, 1, 4)] == [expected] * 3
    for bucket in range(4):
        cut.features.merge(None, 2, bucket)
    cut.features.sweep(2)
    assert gathered(cut, 2).data_hash == expected


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
    before, after = stored(tmp_path / "before"), empty(tmp_path / "after")
    after.features.append(feature_rows(range(POSTS)), bits=0)
    after.labels.append(pa.concat_tables([label_rows([1], **changed), label_rows(range(2, POSTS))]), bits=0)
    twin = empty(tmp_path / "twin")
    twin.features.append(feature_rows(range(POSTS)), bits=0)
    twin.labels.append(label_rows(range(1, POSTS)), bits=0)
    assert gathered(twin, 0).data_hash == gathered(before, 0).data_hash  # post 0 has no vector
    assert gathered(after, 0).data_hash != gathered(before, 0).data_hash


def test_the_hash_changes_with_vectors_and_posts(tmp_path: Any) -> None:
    whole = stored(tmp_path / "whole")
    fewer = stored(tmp_path / "fewer", range(POSTS - 2))
    one_stream = stored(tmp_path / "one", streams=STREAMS[:1])
    nudged = stored(tmp_path / "nudged")
    nudged.features.append(feature_rows([6], attempt=1, nudge=1e-3), bits=0)
    hashes = [gathered(data, 0).data_hash for data in (whole, fewer, one_stream, nudged)]
    assert len(set(hashes)) == 4


def test_targets_as_arrays() -> None:
    found = targets_of(label_rows([1, 5]))
    np.testing.assert_array_equal(found["target"], np.array([1 / 3, 5 / 3], np.float32))
    assert found["is_viral"].tolist() == [0, 1]
    assert found["likes_rate"].tolist() == [-1, -2]
    assert np.isnan(found["shares_rate"]).all()
    assert {values.dtype for values in found.values()} == {np.dtype(np.float32)}


def test_moments_do_not_depend_on_the_slices_they_are_added_up_in(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors = np.random.default_rng(0).normal(1000, 1, (50, 3)).astype(np.float32)
    whole = moments_of(vectors)
    monkeypatch.setattr("viral.datasets.labelled_features._SLICE", 7)
    pieces = moments_of(vectors)
    assert whole.count == pieces.count == 50
    np.testing.assert_allclose(pieces.mean, vectors.astype(np.float64).mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(pieces.scale, vectors.astype(np.float64).std(axis=0), rtol=1e-6)
