"""Posts near an example come first, by an index that follows its feature table."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from tests.search.roots import LOOKS, add_features, add_posts, looking
from viral.errors import TableError, UsageError
from viral.search import segments, vector_index
from viral.search.examples import find_embedding
from viral.search.searcher import Searcher
from viral.storage.store import Store

COUNT = 30
ANGLES = np.linspace(0, 1.2, COUNT)


def at(angle: float) -> np.ndarray:
    return np.array([np.cos(angle), np.sin(angle)]) * 3


@pytest.fixture
def store(any_store: Store) -> Store:
    """Posts along an arc: the nearer by number, the nearer by vector; and one that failed."""
    add_posts(any_store, [{"post_id": f"{number:02}"} for number in range(COUNT)])
    add_features(any_store, LOOKS, [looking(f"{number:02}", at(ANGLES[number])) for number in range(COUNT)], 1)
    add_features(any_store, LOOKS, [looking("failed", None)])
    return any_store


@pytest.fixture
def searcher(store: Store) -> Iterator[Searcher]:
    with Searcher(store) as searcher:
        yield searcher


def ids(searcher: Searcher, post_id: str, limit: int = 3) -> list[str]:
    return [hit.post_id for hit in searcher.like_post(post_id, limit)]


def parts(store: Store) -> list[int]:
    """Rows of the segments."""
    about = find_embedding(store, "image").source.snapshots.current().about
    return [part["rows"] for part in about["segments"]]


def test_the_nearest_come_first(searcher: Searcher) -> None:
    assert ids(searcher, "00") == ["01", "02", "03"]
    assert set(ids(searcher, "15", 2)) == {"14", "16"}
    (hit,) = searcher.like_post("00", 1)
    assert hit.score == pytest.approx(np.cos(ANGLES[1]), abs=1e-3)
    for post_id in ("failed", "no such"):
        with pytest.raises(UsageError, match="has no vector"):
            searcher.like_post(post_id)


def test_the_index_follows_the_table(store: Store, searcher: Searcher) -> None:
    assert ids(searcher, "00") == ["01", "02", "03"]
    assert parts(store) == [COUNT]
    add_features(store, LOOKS, [looking("29", at(0.01), attempt=1), looking("01", None, attempt=1)])
    assert ids(searcher, "00") == ["29", "02", "03"]
    assert parts(store) == [COUNT, 1]
    find_embedding(store, "image").source.table.merge(None, 0, 0)
    assert ids(searcher, "00") == ["29", "02", "03"]
    assert ids(searcher, "29") == ["00", "02", "03"]
    add_features(store, LOOKS, [looking(f"{number:02}", at(1.2 - ANGLES[number]), 2) for number in range(COUNT)])
    assert ids(searcher, "00") == ["01", "02", "03"]
    assert parts(store) == [COUNT]  # nothing of the old segments is left
    with Searcher(store) as other:
        assert ids(other, "00") == ["01", "02", "03"]


def test_posts_that_are_gone_are_not_found(store: Store, searcher: Searcher) -> None:
    assert ids(searcher, "00") == ["01", "02", "03"]
    table = find_embedding(store, "image").source.table
    store.delete([file.key for file in table.files()])
    add_features(store, LOOKS, [looking(f"{number:02}", at(ANGLES[number])) for number in range(0, COUNT, 2)])
    assert ids(searcher, "00") == ["02", "04", "06"]


def test_small_segments_are_taken_in(store: Store, searcher: Searcher) -> None:
    for number in range(12):
        post = f"new {number}"
        add_posts(store, [{"post_id": post}])
        add_features(store, LOOKS, [looking(post, at(0.001 * number))])
        assert ids(searcher, "00", 1) == ["new 0"]
    assert sum(parts(store)) == COUNT + 12
    assert len(parts(store)) <= 4
    assert ids(searcher, "00", 12) == [f"new {number}" for number in range(12)]


def test_large_tables_have_several_segments_with_lists(
    store: Store, searcher: Searcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (segments, vector_index):
        monkeypatch.setattr(module, "MAX_ROWS", 1000)
    monkeypatch.setattr(segments, "EXACT_ROWS", 500)
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(3000, 16))
    add_posts(store, [{"post_id": f"many {number}"} for number in range(3000)], 3)
    add_features(store, LOOKS, [looking(f"many {number}", vectors[number]) for number in range(3000)], 3)
    monkeypatch.setattr(vector_index.BucketedTable, "log2_buckets", lambda self: 3)
    found = ids(searcher, "many 7", 10)
    assert len(parts(store)) == 3
    scaled = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    nearest = np.argsort(-(scaled @ scaled[7]))[1:11]
    assert len(set(found) & {f"many {number}" for number in nearest}) >= 9


def test_a_root_without_such_vectors_names_what_there_is(store: Store, searcher: Searcher, any_store: Store) -> None:
    with pytest.raises(TableError, match=r"there are caption of looks, efficientnet_lite0 of looks"):
        searcher.like_post("00", by="resnet50")
    with pytest.raises(TableError, match="modality image"):
        searcher.like_post("00", feature_set="light")
    store.delete_below("features")
    with pytest.raises(TableError, match="backfill first"):
        searcher.like_post("00")
