"""One corpus through every split: posts without videos, whose views depend on the author and nothing else."""

from __future__ import annotations

import csv
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from jobs import study
from jobs.ingesting.source import IngestSource
from jobs.studying.spec import SPLITS, StudySpec
from jobs.studying.steps import Experiment, Recipe
from tests.trees import few_trees
from viral.config import Settings
from viral.errors import ConfigError, TableError
from viral.evaluation.splits import SplitSpec
from viral.evaluation.study.page import render
from viral.evaluation.study.study import Study
from viral.extractors.feature_set import FeatureSet
from viral.labels import LabelSpec
from viral.registry.registry import Registry
from viral.storage.store import Store

AUTHORS, POSTS = 24, 40
METADATA = FeatureSet.from_dict({"name": "metadata", "extractors": ["metadata"]})
COLUMNS = ("post_id", "author_id", "posted_at", "caption", "views", "likes", "comments", "shares", "author_followers")


class KilledError(Exception):
    """Stands for the end of the process."""


def killed(done: int, total: int) -> None:
    if done == 2:
        raise KilledError


def write_corpus(path: Path) -> None:
    """Each author has a level of views, and followers that name the author: those with a few more or less have another.

    Who knows an author's followers knows the level; of a new author they say nothing.
    """
    rng = np.random.default_rng(0)
    ranks = rng.permutation(AUTHORS)
    levels, followers = np.where(ranks % 2, 12.0, 8.0), np.exp(5 + ranks / 2).astype(int)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for author in range(AUTHORS):
            for number in range(POSTS):
                day = 10 * author + 1.5 * number  # later authors begin later, and overlap with those before
                posted = datetime(2024, 1, 1, tzinfo=UTC) + timedelta(days=day + rng.random())
                views = int(np.exp(levels[author] + 0.3 * rng.normal()))
                rest = (posted.isoformat(), "some words", views, views // 10, views // 100, views // 200)
                writer.writerow((f"p{author}-{number}", f"a{author}", *rest, followers[author]))


def spec(file: Path) -> StudySpec:
    """Quick: two splits, one member, one share, no other seeds."""
    return StudySpec(
        "quick",
        (LabelSpec("log_views"), LabelSpec("correlation_weighted_scaled")),
        kinds=("time_author", "random"),
        author_fractions=(0.5,),
        seeds=1,
        resamples=20,
        recipe=Recipe(members=("boosting",)),
        feature_set=METADATA,
        source=IngestSource("csv", (str(file),)),
    )


def test_a_planted_author_effect_flatters_at_random(tmp_path: Path, ray_session: None) -> None:
    (tmp_path / "root").mkdir()
    write_corpus(tmp_path / "posts.csv")
    store, quick = Store.open(tmp_path / "root"), spec(tmp_path / "posts.csv")
    with pytest.raises(KilledError), few_trees():
        study.run(store, quick, Settings(), progress=killed)
    begun = {name: Registry(store).versions(name) for name in Registry(store).names()}
    assert set(begun) == {"log_views-time_author-ensemble", "log_views-random-ensemble"}

    with few_trees():
        summary = study.run(store, quick, Settings())
    assert (summary.posts, summary.models, summary.reused, summary.skipped) == (AUTHORS * POSTS, 4, 2, {})
    assert all(Registry(store).versions(name) == [1] for name in Registry(store).names())
    found = Study.model_validate_json(store.read("studies/quick/study.json"))
    page = store.read("studies/quick/study.html").decode()
    assert render(found) == page

    assert [each.split for each in found.splits] == ["time_author", "random"]
    model, median = (each for each in found.flattery if each.system in ("model", "metadata_gbm"))
    for each in (model, median):
        assert each.metrics["spearman"].value > 0.5
        assert each.metrics["roc_auc"].value > 0.2
        assert each.metrics["rmse"].value < 0
    assert found.splits[-1].metric("author_earlier_median", "spearman").value > 0.6
    assert found.headline.metric("author_earlier_median", "spearman") is None
    assert found.headline.metric("text_linear", "roc_auc") is not None
    half, whole = (each.part("train").authors for each in found.curve)
    assert 0.25 * whole < half < 0.75 * whole
    assert "50% of the training authors" in Registry(store).load(found.curve[0].model).card["notes"][0]
    views, scaled = found.labels
    assert scaled.crowded > 0.3 > views.crowded
    assert scaled.result.metric("constant", "rmse").value < 0.5
    for each in (*found.splits, *found.curve, *(label.result for label in found.labels)):
        assert store.exists(f"studies/quick/{each.scorecard}")
        assert f'href="{each.scorecard}"' in page


def test_what_is_made_otherwise_has_another_name() -> None:
    cell = Experiment(LabelSpec("log_views"), SplitSpec("time", gap_days=7))
    assert cell.label_table == "log_views-time-gap7"
    assert cell.model_name("fusion") == "log_views-time-gap7-fusion"
    assert (
        replace(cell, seed=2, author_fraction=0.25).model_name("fusion") == "log_views-time-gap7-fusion-seed2-share25"
    )


def test_each_model_is_trained_once() -> None:
    cells = replace(spec(Path("posts.csv")), kinds=SPLITS, seeds=3, gap_days=2.0).experiments
    assert len(cells) == len(set(cells)) == 4 + 1 + 2 + 1
    assert {cell.split.kind for cell in cells if cell.split.gap_days} == {"time_author", "time"}


def test_wrong_requests(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--map-file is for --source"):
        study.source_of(None, "columns.yaml")
    with pytest.raises(ConfigError, match="there is no source 'excel'; there are: apify_instagram, "):
        study.source_of(("excel", "posts.xls"), None)
    assert study.source_of(None, None) is None
    with pytest.raises(ConfigError, match="is not a valid name"):
        study.run(Store.open(tmp_path), replace(spec(tmp_path), name="../up"), Settings())


def test_a_corpus_that_cannot_be_split_is_one_line(tmp_path: Path, ray_session: None) -> None:
    (tmp_path / "root").mkdir()
    (tmp_path / "posts.csv").write_text("post_id,author_id,views\np1,a,10\np2,b,20\np3,c,30\n")
    with pytest.raises(TableError):
        study.run(Store.open(tmp_path / "root"), spec(tmp_path / "posts.csv"), Settings())
