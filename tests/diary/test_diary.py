"""A simulated year of posts with known truth: the diary finds their outcomes and judges them as they are."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest

from viral.diary.drafts import KeptDraft, forget, keep, load_drafts, set_link
from viral.diary.outcomes import MATURE_DAYS, DraftOutcome, outcomes
from viral.diary.report import BINS, ENOUGH, LEVEL, judge, report
from viral.errors import TableError
from viral.features.reuse import CARD
from viral.labels import LabelSpec, fit
from viral.queries.queries import query
from viral.registry.registry import Registry
from viral.storage.store import Store
from viral.tables.bucketed import BucketedTable
from viral.tables.places import drafts_table, posts_table
from viral.tables.schemas import POSTS, feature_schema

START = datetime(2026, 1, 1, tzinfo=UTC)
THRESHOLD = 9.0  # of log views: above it a post is viral


def a_year(posts: int, creators: Sequence[str], seed: int = 3) -> list[DraftOutcome]:
    """Drafts whose predictions are right: the truth is normal around the score with deviation 1.2."""
    from scipy.stats import norm

    rng, made = np.random.default_rng(seed), []
    for number in range(posts):
        score = rng.normal(8.0, 1.5)
        target = score + 1.2 * rng.normal()
        half = 1.2 * norm.ppf((1 + LEVEL) / 2)
        probability = float(norm.sf((THRESHOLD - score) / 1.2))
        draft = KeptDraft("m/1", "log_views", probability, score, score - half, score + half)
        when = START + timedelta(days=365 * number / posts)
        row = {**asdict(draft), "creator": creators[number % len(creators)]}
        made.append(DraftOutcome(row, "counted", str(number), "link", when, target, target > THRESHOLD))
    return made


def test_a_year_of_right_predictions_is_judged_as_right() -> None:
    year = a_year(1200, ["ann", "bob"])
    found = report(year)
    entry = found.entry()
    assert entry
    assert entry.coverage
    assert entry.coverage.low < LEVEL < entry.coverage.high
    assert entry.posts == 1200
    assert len(entry.calibration) == BINS
    # The truth of each bin is its mean probability; one in twenty may lie outside its interval.
    assert sum(b.viral.low <= b.predicted <= b.viral.high for b in entry.calibration) >= BINS - 1
    assert [b.predicted for b in entry.calibration] == sorted(b.predicted for b in entry.calibration)
    assert entry.pairwise == pytest.approx(0.79, abs=0.03)  # of two normals with this ratio of deviations
    months = [e.month for e in found.entries if e.creator == "ann" and e.month]
    assert months == [f"2026-{month:02d}" for month in range(1, 13)]
    assert all(e.enough for e in found.entries)


def test_too_narrow_intervals_and_proud_probabilities_show() -> None:
    year = a_year(400, ["ann"])
    narrow = [
        DraftOutcome(
            {**o.draft, "low": o.draft["score"] - 0.5, "high": o.draft["score"] + 0.5, "probability": 0.95},
            *(o.state, o.post_id, o.found_by, o.posted_at, o.target, o.is_viral),
        )
        for o in year
    ]
    entry = judge(narrow, "ann", None)
    assert entry.coverage
    assert entry.coverage.high < 0.5
    assert entry.viral
    assert entry.expected_viral == pytest.approx(380)
    assert entry.viral.high < 0.5


def test_five_posts_are_too_few_to_say_anything() -> None:
    entry = report(a_year(5, ["new"])).entry("new")
    assert entry
    assert (entry.posts, entry.enough, entry.coverage, entry.pairwise) == (5, False, None, None)
    assert not judge(a_year(ENOUGH - 1, ["new"]), "new", None).enough


def video_hash(seed: int) -> bytes:
    from viral.duplicates.perceptual_hash import VIDEO_HASH

    return np.random.default_rng(seed).bytes(VIDEO_HASH.itemsize)


@pytest.fixture
def root(folder_store: Store) -> Store:
    """Six posts, a label fitted on them in a model's card, and their videos in a feature table."""
    days = [1, 1, 1, 1, -9, 1]  # after START, at which drafts are kept
    scraped = [30, 30, 30, 3, 30, 30]
    rows = {
        "post_id": [f"70{number}" for number in range(6)],
        "author_id": ["ann", "ann", "bob", "ann", "ann", "ann"],
        "page_url": ["https://www.tiktok.com/@ann/video/700", *[None] * 5],
        "posted_at": [START + timedelta(days=day) for day in days],
        "scraped_at": [START + timedelta(days=day) for day in scraped],
        "views": [100, 20_000, 30_000, 5, 50, None],
    }
    names = [name for name in POSTS.names if name not in rows]
    posts = pa.table({**rows, **{name: pa.nulls(6, POSTS.field(name).type) for name in names}}).set_column(
        0, "post_id", pa.array(rows["post_id"])
    )
    posts = posts.set_column(posts.column_names.index("source"), "source", pa.array(["test"] * 6))
    posts = posts.select(POSTS.names).cast(POSTS)
    posts_table(folder_store).append(posts, 0)
    fitted = fit(LabelSpec("log_views"), posts, np.ones(6, bool))
    card = {"kind": "network", "label": {"name": "log_views", "fitted": fitted.to_dict()}}
    Registry(folder_store).save("m", card, b"weights")
    schema = feature_schema(["light"])
    features = BucketedTable(
        folder_store, "features/light-1/1", schema, key="post_id", newest_by="attempt", history=True
    )
    features.append(_features(rows["post_id"], schema), 0)
    folder_store.write(f"{features.prefix}/{CARD}", json.dumps({"fingerprints": ["light"], "set": {}}).encode())
    return folder_store


def _features(post_ids: list[str], schema: pa.Schema) -> pa.Table:
    values = {
        "post_id": post_ids,
        "attempt": [0] * len(post_ids),
        "status": ["ok"] * len(post_ids),
        "sha256": [f"sha-{post}" for post in post_ids],
        "video_hash": [video_hash(int(post)) for post in post_ids],
        "seen_seconds": [10.0 + int(post) for post in post_ids],
    }
    rows = [dict(zip(values, row, strict=True)) for row in zip(*values.values(), strict=True)]
    for row in rows:
        row |= {f.name: _filler(f) for f in schema if f.name not in row and not f.nullable}
    return pa.Table.from_pylist(rows, schema)


def _filler(field: pa.Field) -> object:
    return START if pa.types.is_timestamp(field.type) else "x" if pa.types.is_string(field.type) else 0


def draft(**fields: object) -> KeptDraft:
    return KeptDraft("m/1", "log_views", 0.3, 9.0, 4.0, 10.0, known=True, **fields)  # type: ignore[arg-type]


def test_drafts_are_joined_by_link_by_hash_and_as_near_duplicates(root: Store) -> None:
    kept = {
        "link": draft(link="https://www.tiktok.com/@ann/video/700?is_from_webapp=1", creator="ann"),
        "same file": draft(sha256="sha-701", creator="ann"),
        "near-duplicate": draft(sha256="another encoding", video_hash=video_hash(702), seconds=712.0, creator="bob"),
        "young": draft(sha256="sha-703"),
        "old": draft(sha256="sha-704"),
        "no views": draft(sha256="sha-705"),
        "never posted": draft(sha256="unique", video_hash=video_hash(1), seconds=5.0),
    }
    ids = {name: keep(root, one, now=START) for name, one in kept.items()}
    found = {outcome.draft["draft_id"]: outcome for outcome in outcomes(root)}
    got = {name: (found[key].post_id, found[key].found_by, found[key].state) for name, key in ids.items()}
    assert got == {
        "link": ("700", "link", "counted"),
        "same file": ("701", "same file", "counted"),
        "near-duplicate": ("702", "near-duplicate", "counted"),
        "young": ("703", "same file", "too young"),
        "old": (None, None, "not posted"),  # another post of the file, from before it was scored
        "no views": ("705", "same file", "no label"),
        "never posted": (None, None, "not posted"),
    }
    assert found[ids["link"]].target == pytest.approx(np.log1p(100))
    assert found[ids["link"]].inside is True
    assert found[ids["near-duplicate"]].inside is False
    assert report(list(found.values())).states == {"counted": 3, "too young": 1, "not posted": 2, "no label": 1}
    assert MATURE_DAYS > 2


def test_a_forgotten_draft_leaves_nothing_behind(root: Store) -> None:
    first, second = keep(root, draft(title="secret plan")), keep(root, draft(title="other"))
    set_link(root, second, " https://www.tiktok.com/@ann/video/700 ")
    forget(root, first)
    rows = load_drafts(root).to_pylist()
    assert [(row["title"], row["link"]) for row in rows] == [("other", "https://www.tiktok.com/@ann/video/700")]
    assert all(b"secret plan" not in root.read(file.key) for file in drafts_table(root).files())
    with query(root) as tables:
        assert tables.sql("SELECT count(*) AS n FROM drafts WHERE NOT forgotten")["n"].to_pylist() == [1]
    with pytest.raises(TableError, match="no longer kept"):
        forget(root, first)
