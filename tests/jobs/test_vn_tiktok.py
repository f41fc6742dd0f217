"""Real posts without videos: every fifth of `vn_tiktok`, by what is known at the moment of posting."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from jobs import backfill, train_ensemble
from jobs.train_ensemble import EnsembleSpec
from jobs.training.labelled import labelled_features
from tests.bench.vn_tiktok import LABEL, STACK, constant, forecast, judged, prepare
from viral.config import Settings
from viral.datasets.streams import streams_of
from viral.evaluation.bootstrap.by_author import AuthorBootstrap
from viral.evaluation.splits import author_codes
from viral.extractors.feature_set import FeatureSet
from viral.scoring.scorer import Scorer
from viral.storage.store import Store

METADATA = FeatureSet.from_dict({"name": "metadata", "extractors": ["metadata"]})


@pytest.fixture
def store(tmp_path: Path, ray_session: None, shared_data: Path) -> Store:
    (tmp_path / "root").mkdir()
    with (shared_data / "vn_tiktok" / "raw_data.csv").open(encoding="utf-8", newline="") as file:
        posts = list(csv.DictReader(file))
    with (tmp_path / "some.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(posts[0]))
        writer.writeheader()
        writer.writerows(posts[::5])
    store = Store.open(tmp_path / "root")
    prepare(store, tmp_path / "some.csv")
    return store


def test_posts_of_words_alone_teach_what_can_be_known_of_later_posts_by_others(store):
    filled = backfill.run(store, METADATA, Settings())
    assert (filled.posts, filled.ok, filled.failed) == (2021, 2021, 0)
    members = ("logistic", "boosting")
    summary = train_ensemble.run(store, EnsembleSpec("e", METADATA, LABEL, members))
    data, _ = labelled_features(store, METADATA, LABEL, streams_of(METADATA))
    rows = data.read(0, 0, ("train", "test"))
    tested = rows.filter(rows["split"].to_numpy() == "test")
    assert tested.num_rows > 300
    assert not set(tested["author_id"].to_pylist()) & set(
        rows.filter(rows["split"].to_numpy() == "train")["author_id"].to_pylist()
    )
    forecasts = {
        STACK: forecast(Scorer.load(store, summary.model), tested),
        "constant": constant(rows, tested.num_rows),
    }
    viral = tested["is_viral"].to_numpy(zero_copy_only=False)
    authors = AuthorBootstrap(author_codes(tested), 200)
    result = judged(forecasts, tested["target"].to_numpy(), viral, authors)
    assert result.figures[STACK]["spearman"].low > 0.1
    assert result.differences["constant"]["rmse"].high < 0
