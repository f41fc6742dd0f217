"""Adding an extractor to a feature set computes only the new features and copies the rest."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from jobs import backfill, ingest
from jobs.ingesting.source import IngestSource
from viral.config import Settings
from viral.demo import CorpusSpec, generate
from viral.extractors.feature_set import FeatureSet
from viral.features.feature_table import features_table
from viral.storage.store import Store

pytestmark = pytest.mark.usefixtures("ray_session")


def feature_set(name: str, *extractors: str) -> FeatureSet:
    return FeatureSet.from_dict({"name": name, "extractors": list(extractors)})


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    yield generate(tmp_path_factory.mktemp("corpus"), CorpusSpec(posts=6, authors=3), workers=1)


@pytest.fixture
def store(corpus: Path, tmp_path: Path) -> Store:
    store = Store.open(tmp_path)
    ingest.run(store, IngestSource("csv", (str(corpus / "posts.csv"),)))
    return store


def test_only_the_new_extractor_runs(store: Store, corpus: Path) -> None:
    small, grown = feature_set("small", "acoustics"), feature_set("grown", "metadata", "acoustics", "craft")
    first = backfill.run(store, small, Settings())
    assert first.reuses == {}
    second = backfill.run(store, grown, Settings())
    assert second.reuses == {small.table: "acoustics"}
    assert (second.ok, second.failed) == (first.ok, 0)
    assert {"craft", "metadata"} <= set(second.stage_seconds)
    assert "acoustics" not in second.stage_seconds

    alone = Store.open(corpus.parent)
    ingest.run(alone, IngestSource("csv", (str(corpus / "posts.csv"),)))
    backfill.run(alone, grown, Settings())
    names = ["post_id", "status", "reason", "sha256", *grown.dims]
    assert features_table(store, grown).read(columns=names).equals(features_table(alone, grown).read(columns=names))


def test_what_looks_at_no_video_reads_none(store: Store) -> None:
    backfill.run(store, feature_set("sound", "acoustics"), Settings())
    with_words = feature_set("words", "acoustics", "metadata", "caption")
    done = backfill.run(store, with_words, Settings())
    assert "decode" not in done.stage_seconds
    seen = features_table(store, with_words).read(columns=["sha256", "metadata"])
    assert seen["sha256"].null_count == seen["metadata"].null_count == 0


def test_a_set_that_needs_nothing_new(store: Store) -> None:
    both, sound = feature_set("both", "metadata", "acoustics"), feature_set("one", "acoustics")
    backfill.run(store, both, Settings())
    done = backfill.run(store, sound, Settings())
    assert (done.posts, done.failed, done.stage_seconds) == (6, 0, {})
    columns = ["post_id", "acoustics"]
    assert features_table(store, sound).read(columns=columns).equals(features_table(store, both).read(columns=columns))


def test_posts_that_the_donor_failed_on_are_read_again(store: Store, corpus: Path) -> None:
    hidden = next((corpus / "videos").glob("*.mp4"))
    away = hidden.rename(hidden.with_suffix(".away"))
    try:
        assert backfill.run(store, feature_set("sound", "acoustics"), Settings()).failed == 1
    finally:
        away.rename(hidden)
    assert backfill.run(store, feature_set("both", "acoustics", "craft"), Settings()).failed == 0
