"""`viral ingest`: every row becomes a post, a duplicate or a reject, in folders and on S3."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from jobs import ingest
from jobs.ingesting import files
from jobs.ingesting.source import IngestSource
from tests.jobs.conftest import contents
from tests.sources.scrapes import write_trending
from viral.sources import ReadSettings
from viral.storage.store import Store
from viral.tables.places import posts_table

VN_TIKTOK = {"post_id": "vid_id", "scraped_at": "vid_scrapeTime", "views": "vid_nview", "shares": "vid_nshare"}


@pytest.fixture
def store(tmp_path, ray_session) -> Store:
    (tmp_path / "root").mkdir()
    return Store.open(tmp_path / "root")


def accounted(summary: ingest.IngestSummary) -> bool:
    return summary.rows == summary.posts + summary.duplicates + summary.rejects


def test_trending_posts_and_the_same_once_more(store, tmp_path):
    source = IngestSource("trending_json", (str(write_trending(tmp_path / "dump").parent),))
    summary = ingest.run(store, source)
    assert (summary.files, summary.rows, summary.posts, summary.rejects, summary.table_rows) == (1, 1000, 1000, 0, 1000)
    before = contents(store)
    assert len(before) == 1
    again = ingest.run(store, source)
    assert (again.posts, again.changed, again.table_rows) == (1000, 0, 1000)
    assert contents(store) == before


def test_many_buckets_hold_what_one_does(store, tmp_path, monkeypatch):
    """As for a table of 200,000 posts."""
    source = IngestSource("trending_json", (str(write_trending(tmp_path / "dump").parent),))
    monkeypatch.setattr(ingest, "log2_buckets_for", lambda rows: 3)
    summary = ingest.run(store, source)
    assert (summary.rows, summary.posts, summary.changed, summary.table_rows) == (1000, 1000, 1000, 1000)
    assert [part.bucket for part in posts_table(store).files()] == list(range(8))
    again = ingest.run(store, source)
    assert (again.posts, again.changed, again.table_rows) == (1000, 0, 1000)


def test_a_second_crawl_replaces_what_it_saw_again(store, tmp_path):
    title = "vid_id,vid_scrapeTime,vid_nview,vid_nshare\n"
    first = [f"{7506832682593094928 + n},2025-05-29 15:38:41,{n + 1}K,{n}" for n in range(60)]
    later = [
        f"{7506832682593094928 + n},2025-06-06 20:28:41,{n + 2}K,{'Share' if n == 50 else n}" for n in range(50, 70)
    ]
    for name, rows in (("a", first), ("b", later)):
        (tmp_path / f"{name}.csv").write_text(title + "\n".join(rows))
    first, second = (IngestSource("csv", (str(tmp_path / f"{name}.csv"),), VN_TIKTOK) for name in "ab")
    summary = ingest.run(store, first)
    assert (summary.rows, summary.posts, summary.duplicates, summary.rejects) == (60, 60, 0, 0)
    old = {row["post_id"]: row for row in posts_table(store).read().to_pylist()}
    summary = ingest.run(store, second)
    assert (summary.rows, summary.rejects, accounted(summary), summary.changed) == (20, 0, True, 20)
    assert summary.unreadable == {"shares (vid_nshare)": 1}
    assert "1 value of shares (vid_nshare) could not be read, as 'Share' is not a count" in summary.warnings
    new = {row["post_id"]: row for row in posts_table(store).read().to_pylist()}
    assert summary.table_rows == len(new) == 70
    assert (new["7506832682593094978"]["views"], new["7506832682593094978"]["shares"]) == (52_000, 50)
    assert all(new[post] == old[post] for post in old.keys() - {str(7506832682593094928 + n) for n in range(50, 60)})
    # Neither the older crawl nor the same crawl again changes anything.
    assert ingest.run(store, first).changed == 0
    before = contents(store)
    assert ingest.run(store, second).changed == 0
    assert contents(store) == before


def test_files_of_several_folders_and_an_s3_address(store, write_posts, s3_root):
    one = write_posts({"id": "1", "stats": {"playCount": 5}}, {"id": "2"}, name="a.jsonl")
    write_posts({"id": "2", "stats": {"playCount": 7}}, {"nothing": 1}, name="b.json")
    Store(s3_root).upload(one, "dump/c.jsonl")
    source = IngestSource("tiktok_api", (str(one.parent), f"{s3_root}/dump"), name="mine")
    summary = ingest.run(store, source)
    assert (summary.files, summary.rows, summary.posts, summary.duplicates, summary.rejects) == (3, 6, 2, 3, 1)
    assert posts_table(store).read()["source"].to_pylist() == ["mine", "mine"]
    single = ingest.run(store, IngestSource("tiktok_api", (f"{s3_root}/dump/c.jsonl",)))
    assert (single.files, single.rows) == (1, 2)


def test_where_the_videos_lie_by_a_template(store, tmp_path):
    (tmp_path / "p.csv").write_text("post_id,video_uri\n1,\n2,/there/2.mp4\n")
    ingest.run(store, IngestSource("csv", (str(tmp_path / "p.csv"),), video_uri="videos/{post_id}.mp4"))
    assert posts_table(store).read()["video_uri"].to_pylist() == ["videos/1.mp4", "/there/2.mp4"]


def test_an_ingest_that_was_killed_leaves_nothing_in_the_way(store, tmp_path):
    (tmp_path / "p.csv").write_text("post_id\n1\n")
    source = IngestSource("csv", (str(tmp_path / "p.csv"),))
    store.write("staging/ingest-0123456789abcdef/posts/x/part-00-000000-1-ab.parquet", b"half")
    assert ingest.run(store, replace(source, settings=ReadSettings(force=True))).posts == 1
    assert [info.key.split("/")[0] for info in store.objects("")] == ["posts"]


def test_groups_of_files_hold_every_row_once(store, tmp_path, monkeypatch):
    """Small groups, many writes and splits: as for 10^5 info files."""
    monkeypatch.setattr(files, "GROUP_FILES", 3)
    monkeypatch.setattr(ingest, "log2_buckets_for", lambda rows: 2)
    folder = tmp_path / "scraped"
    folder.mkdir()
    for number in range(20):
        (folder / f"{number}.info.json").write_text(json.dumps({"id": f"v{number % 15}", "view_count": number}))
    (folder / "bad.info.json").write_text("{")
    summary = ingest.run(store, IngestSource("yt_dlp", (str(folder),)))
    assert (summary.files, summary.rows, summary.posts, summary.duplicates, summary.rejects) == (21, 21, 15, 5, 1)
    assert posts_table(store).read()["post_id"].to_pylist() == sorted(f"v{number}" for number in range(15))
    assert list(store.objects("staging")) == []


def test_a_folder_of_info_files(store, tmp_path):
    folder = tmp_path / "scraped"
    folder.mkdir()
    (folder / "v1.info.json").write_text(json.dumps({"id": "v1", "view_count": 3, "ext": "mp4"}))
    (folder / "v1.mp4").write_bytes(b"video")
    assert ingest.run(store, IngestSource("yt_dlp", (str(folder),))).posts == 1
    [post] = posts_table(store).read().to_pylist()
    assert (post["views"], Path(post["video_uri"]).name) == (3, "v1.mp4")


def test_files_of_several_exporters_go_in_with_one_command(viral, tmp_path):
    folder = tmp_path / "scraped"
    folder.mkdir()
    (folder / "a.json").write_text(
        json.dumps([{"id": "71", "username": "a", "create_time": 1654646400, "view_count": 5, "region_code": "US"}])
    )
    (folder / "b.csv").write_text("Video ID;Views;Author\n72;1.2K;bob\n")
    (folder / "v.info.json").write_text(json.dumps({"id": "73", "view_count": 3, "uploader": "c", "ext": "mp4"}))
    (folder / "v.mp4").write_bytes(b"video")
    for number in range(6):  # more than are tried before Ray starts, and first by name
        (folder / f"_{number}.json").write_text('{"name": "mine", "version": 1}')
    (tmp_path / "root").mkdir()
    done = viral("ingest", folder, "--root", tmp_path / "root", "--json")
    summary = json.loads(done.stdout)
    assert summary["maps"] == {"research_api": 1, "csv": 1, "yt_dlp": 1, "none": 6}
    assert (summary["posts"], summary["rejects"]) == (3, 6)
    assert all("json is of no known exporter" in reason for reason in summary["reject_reasons"])
    posts = posts_table(Store(tmp_path / "root")).read().to_pylist()
    assert [post["views"] for post in posts] == [5, 1200, 3]


def test_a_dry_run_shows_rows_and_needs_no_root(viral, tmp_path):
    (tmp_path / "p.csv").write_text("post_id,views,likes,sticker_texts,is_ad\n1,2K,9K,WAIT,no\n,3,1,,\n3,4,x,,\n")
    done = viral("ingest", tmp_path / "p.csv", "--dry-run", 3, "--json")
    shown = json.loads(done.stdout)
    assert (shown["maps"], [post["views"] for post in shown["posts"]]) == (["csv"], [2000, 4])
    assert [(post["sticker_texts"], post["is_ad"]) for post in shown["posts"]] == [(["WAIT"], False), (None, None)]
    assert [reject["row"] for reject in shown["rejects"]] == [2]
    assert shown["warnings"] == [
        "1 post has fewer views than likes: another count, or zeros for unknown ones (values: {0: null})?",
        "1 value of likes could not be read, as 'x' is not a count",
    ]
    text = viral("ingest", tmp_path / "p.csv", "--dry-run", 2).stdout
    assert "read with csv; nothing is stored" in text
    assert "sticker_texts       ['WAIT']\nis_ad               False\n" in text
    assert list(tmp_path.iterdir()) == [tmp_path / "p.csv"]


def test_a_dry_run_shows_a_guessed_map_as_a_file_that_reads_the_same(viral, tmp_path):
    (tmp_path / "p.csv").write_text("Clip,Plays,Creator\nx1,1.234,bob\n")
    options = ("ingest", tmp_path / "p.csv", "--map", "post_id=Clip", "--locale", "de", "--dry-run", 1, "--json")
    shown = json.loads(viral(*options).stdout)
    assert shown["guessed"] == {"author_id": "Creator", "views": "Plays", "post_id": "Clip"}
    (tmp_path / "mine.yaml").write_text(json.dumps(shown["guessed"] | {"locale": "de"}))  # JSON is YAML
    again = json.loads(viral("ingest", tmp_path / "p.csv", "--map-file", tmp_path / "mine.yaml", *options[6:]).stdout)
    assert (again["maps"], again["guessed"]) == (["mine"], {})
    assert [post | {"source": ""} for post in again["posts"]] == [post | {"source": ""} for post in shown["posts"]]


def test_the_known_exporters_are_listed(viral):
    listed = json.loads(viral("ingest", "--list", "--json").stdout)
    assert {"tiktok_web", "apify_instagram", "yt_dlp", "zeeschuimer_tiktok"} <= listed.keys()
    assert "instaloader" in viral("ingest", "--list").stdout


def test_duplicates_that_differ_are_named(store, tmp_path):
    (tmp_path / "p.csv").write_text("post_id,views\n1,2\n1,2\n2,3\n2,4\n")
    summary = ingest.run(store, IngestSource(None, (str(tmp_path / "p.csv"),)))
    assert (summary.posts, summary.duplicates) == (2, 2)
    assert summary.warnings == [
        "1 row differs from another of the same post and time of scraping: the later one is stored"
    ]
    assert posts_table(store).read()["views"].to_pylist() == [2, 4]


def test_an_exact_time_stays_before_an_inexact_one(store, tmp_path):
    exact = (
        f"post_id,posted_at,scraped_at\n{7106594312292453001},2022-06-08 00:00:01,2022-07-01\nx,2022-06-01,2022-07-01\n"
    )
    (tmp_path / "a.csv").write_text(exact)
    (tmp_path / "b.csv").write_text("post_id,views,scraped_at\n7106594312292453001,5,2022-08-01\nx,6,2022-08-01\n")
    for name in "ab":
        ingest.run(store, IngestSource(None, (str(tmp_path / f"{name}.csv"),)))
    known, day = posts_table(store).read().to_pylist()
    assert (known["posted_at"].second, known["posted_at_from"], known["views"]) == (1, None, 5)
    assert (day["posted_at"].day, day["posted_at_from"], day["views"]) == (1, "day", 6)
