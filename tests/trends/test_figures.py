"""The figures of trends against the formulas, computed post by post in plain Python."""

from __future__ import annotations

import math
from collections import defaultdict
from datetime import timedelta
from pathlib import Path
from statistics import median
from typing import Any

import pytest

from tests.trends.made import END, days_ago, random_posts, write_posts
from viral.storage.store import Store
from viral.trends.trends import Trends, compute_trends

DAYS, SERIES = 7, 8


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.open(tmp_path)


def rows(trends: Trends, kind: str) -> list[dict[str, Any]]:
    return [row for row in trends.trends.to_pylist() if row["kind"] == kind]


def named(trends: Trends, kind: str) -> dict[str, dict[str, Any]]:
    return {row["key"]: row for row in rows(trends, kind)}


ITEMS = {
    "sound": lambda post: None if post["sound_id"] is None else {post["sound_id"]},
    "hashtag": lambda post: None if post["hashtags"] is None else set(post["hashtags"]),
    "word": lambda post: None if post["caption"] is None else set(post["caption"].split()),
}


@pytest.mark.parametrize("kind", list(ITEMS))
def test_each_figure_is_that_of_its_formula(store: Store, kind: str) -> None:
    posts = random_posts(600)
    write_posts(store, posts)
    end = max(post["posted_at"] for post in posts)
    authors, totals, first, views = defaultdict(set), defaultdict(set), {}, defaultdict(list)
    for post in posts:
        items, window = ITEMS[kind](post), (end - post["posted_at"]) // timedelta(days=DAYS)
        for item in items or ():
            authors[item, window].add(post["author_id"])
            first[item] = min(first.get(item, END), post["posted_at"])
            if window == 0 and post["views"] is not None:
                views[item].append(post["views"])
        if items is not None:
            totals[window].add(post["author_id"])
    found = named(compute_trends(store, days=DAYS), kind)
    assert set(found) == {item for item in first if len(authors[item, 0]) >= 3} and len(found) > 5
    for item, row in found.items():
        a, b, all_a, all_b = len(authors[item, 0]), len(authors[item, 1]), len(totals[0]), len(totals[1])
        pooled = (a + b) / (all_a + all_b)
        error = math.sqrt(pooled * (1 - pooled) * (1 / all_a + 1 / all_b))
        assert row["velocity"] == pytest.approx(a / DAYS)
        assert row["acceleration"] == pytest.approx((a - b * all_a / all_b) / DAYS**2)
        assert row["rise"] == pytest.approx((a / all_a - b / all_b) / error)
        assert row["counts"] == [len(authors[item, window]) for window in reversed(range(SERIES))]
        assert row["totals"] == [len(totals[window]) for window in reversed(range(SERIES))]
        assert (row["first_seen"], row["authors"], row["median_views"]) == (first[item], a, median(views[item]))
    ranked = sorted(found.values(), key=lambda row: row["rise_rank"])
    assert [row["rise"] for row in ranked] == sorted((row["rise"] for row in ranked), reverse=True)
    assert [row["rise_rank"] for row in ranked] == list(range(1, len(ranked) + 1))


def test_a_rising_sound_comes_first_and_one_author_is_no_trend(store: Store) -> None:
    rising = [{"sound_id": "rising", "posted_at": days_ago(6 * n / 40)} for n in range(40)]
    spam = [{"sound_id": "spam", "author_id": "one", "posted_at": days_ago(6 * n / 400)} for n in range(400)]
    steady = [{"sound_id": "steady", "posted_at": days_ago(60 * n / 600)} for n in range(600)]
    write_posts(store, rising + spam + steady)
    found = compute_trends(store)
    assert [row["key"] for row in rows(found, "sound")] == ["rising", "steady"]
    assert rows(found, "sound")[0]["beyond_chance"] and not rows(found, "sound")[1]["beyond_chance"]
    assert "spam" not in named(found, "sound")


def test_the_end_of_the_data_is_no_fall(store: Store) -> None:
    """A steady sound, in posts of which a scrape has fewer the newer they are."""
    posts = [{"sound_id": f"s{n % 4}", "posted_at": days_ago(60 * math.sqrt(n / 2000))} for n in range(2000)]
    write_posts(store, posts)
    found = compute_trends(store, as_of=END + timedelta(days=5))
    assert found.summary.as_of == "2026-03-01T00:00:00+00:00"
    assert found.summary.notes == ["windows end at the last post, 2026-03-01T00:00:00Z, not after it"]
    assert all(abs(row["acceleration"]) < 0.02 and abs(row["rise"]) < 0.5 for row in rows(found, "sound"))


def test_before_the_first_window_nothing_is_known_to_rise(store: Store) -> None:
    write_posts(store, [{"sound_id": "s", "posted_at": days_ago(n)} for n in range(5)])
    [row] = rows(compute_trends(store), "sound")
    assert (row["acceleration"], row["rise"], row["beyond_chance"]) == (None, None, None)
    assert row["velocity"] == 5 / 7


def test_posts_with_equal_figures_have_one_order(store: Store) -> None:
    posts = [{"sound_id": f"s{n % 9}", "posted_at": days_ago(n / 10)} for n in range(63)]
    write_posts(store, posts)
    first, second = (rows(compute_trends(store), "sound") for _ in range(2))
    assert [row["key"] for row in first] == [f"s{n}" for n in range(9)]
    assert first == second


def test_posts_without_a_time_or_with_a_wrong_one_are_counted_out(store: Store) -> None:
    good = [{"sound_id": "s", "posted_at": days_ago(n / 10), "views": None} for n in range(5)]
    bad = [{"sound_id": "s"}, {"sound_id": "s", "posted_at": END + timedelta(days=400)}]
    write_posts(store, [*good, *bad, {"sound_id": "s", "posted_at": END + timedelta(days=9000), "scraped_at": None}])
    found = compute_trends(store)
    assert (found.summary.posts, found.summary.undated, found.summary.without_views) == (8, 3, 5)
    [row] = rows(found, "sound")
    assert (row["authors"], row["median_views"], row["median_reach"]) == (5, None, None)
    assert found.features.num_rows == 0 and rows(found, "creator") == []


def test_posts_without_an_author_are_each_their_own(store: Store) -> None:
    write_posts(store, [{"sound_id": "s", "author_id": None, "posted_at": days_ago(n / 10)} for n in range(4)])
    [row] = rows(compute_trends(store), "sound")
    assert row["authors"] == 4


def test_an_older_window_sees_no_later_post(store: Store, tmp_path: Path) -> None:
    past = days_ago(20)
    posts = [*random_posts(400), {"posted_at": past}]
    earlier = [post for post in posts if post["posted_at"] <= past]
    write_posts(store, [{"post_id": str(n), **post} for n, post in enumerate(posts)])
    (tmp_path / "earlier").mkdir()
    write_posts(Store.open(tmp_path / "earlier"), earlier)
    found, expected = compute_trends(store, as_of=past), compute_trends(Store.open(tmp_path / "earlier"))
    assert found.summary.later == len(posts) - len(earlier)
    assert found.trends.equals(expected.trends) and found.trends.num_rows > 20
