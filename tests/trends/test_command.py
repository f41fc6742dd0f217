"""`viral trends`: its lists, its tables, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import viral
from tests.conftest import Viral
from tests.trends.made import END, days_ago, random_posts, write_posts
from viral.storage.store import Store
from viral.trends.trends import run


@pytest.fixture
def root(tmp_path: Path) -> Path:
    rising = [{"sound_id": "r", "sound_title": "夜に\nrising", "posted_at": days_ago(n / 6)} for n in range(40)]
    write_posts(Store.open(tmp_path), random_posts(600) + rising)
    return tmp_path


def test_lists_and_tables_say_the_same(root: Path, viral_here: Viral) -> None:
    shown = viral_here("trends", "--root", root, "--top", "3")
    assert (shown.returncode, shown.stderr) == (0, "")
    for title in ("sounds (velocity", "hashtags (velocity", "words (velocity", "viral posts and others (associations"):
        assert title in shown.stdout
    assert "  夜に rising  " in shown.stdout.split("sounds (velocity")[1].splitlines()[2]
    done = viral_here(
        "trends", "--root", root, "--json", "--kind", "sounds", "--kind", "viral-posts", "--by", "velocity"
    )
    printed = json.loads(done.stdout)
    assert list(printed["lists"]) == ["sounds", "viral-posts"]
    with viral.query(Store.open(root)) as tables:
        rows = tables.sql("SELECT key, velocity FROM trends WHERE kind = 'sound' ORDER BY velocity_rank LIMIT 10")
        posts = tables.sql("SELECT count(*) AS n FROM trend_posts WHERE trend_id = 'sound:r'").to_pylist()
        features = tables.sql("SELECT count(*) AS n FROM trend_features").to_pylist()
    assert rows.to_pylist() == [{name: row[name] for name in rows.column_names} for row in printed["lists"]["sounds"]]
    assert (posts[0]["n"], features[0]["n"]) == (10, printed["features"])
    assert printed["trends"]["sounds"] == len(printed["lists"]["sounds"]) > 5
    status = viral_here("status", "--root", root)
    assert "trends" in status.stdout and "finished" in status.stdout


def test_a_smaller_window_and_an_earlier_time(root: Path, viral_here: Viral) -> None:
    done = viral_here("trends", "--root", root, "--window", "14", "--as-of", "2026-01-25", "--json", "--kind", "sounds")
    printed = json.loads(done.stdout)
    assert (printed["as_of"], printed["window_days"]) == ("2026-01-26T00:00:00+00:00", 14)
    assert "r" not in [row["key"] for row in printed["lists"]["sounds"]]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--as-of", "yesterday"), "'yesterday' is no time: write it as 2026-03-01 or 2026-03-01T09:30"),
        (("--as-of", "2001-01-01"), "there are no posts until 2001-01-02T00:00:00: the first is of 2025-12-"),
        (("--window", "0"), "Invalid value for '--window'"),
        (("--kind", "songs"), "'songs' is not one of 'sounds', 'hashtags', 'words', 'creators', 'topics'"),
    ],
)
def test_what_is_refused(root: Path, viral_here: Viral, options: tuple[str, ...], message: str) -> None:
    done = viral_here("trends", "--root", root, *options)
    assert done.returncode == 2 and message in done.stderr and "Traceback" not in done.stderr


def test_a_root_without_posts_or_times(tmp_path: Path, viral_here: Viral) -> None:
    assert "ingest some first" in viral_here("trends", "--root", tmp_path).stderr
    write_posts(Store.open(tmp_path), [{"sound_id": "s"}])
    assert "has a posting time" in viral_here("trends", "--root", tmp_path).stderr


def test_tables_are_replaced_on_a_folder_and_on_s3(any_store: Store) -> None:
    for sound in ("old", "new"):
        write_posts(any_store, [{"sound_id": sound, "posted_at": days_ago(n), "scraped_at": END} for n in range(4)])
        run(any_store, days=10)
    with viral.query(any_store) as tables:
        rows = tables.sql("SELECT trend_id, velocity, window_days FROM trends WHERE kind = 'sound'").to_pylist()
    assert rows == [{"trend_id": "sound:new", "velocity": 0.4, "window_days": 10}]
