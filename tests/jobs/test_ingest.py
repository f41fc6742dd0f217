"""`viral ingest`: every row becomes a post, a duplicate or a reject, in folders and on S3."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from jobs import ingest
from jobs.ingest import IngestSource, column_map
from jobs.ingesting import files
from viral.errors import ConfigError, SourceError, TableError
from viral.storage.store import Store
from viral.tables.places import posts_table, rejects_table

VN_TIKTOK = {
    "post_id": "vid_id",
    "author_id": "user_name",
    "posted_at": "vid_postTime",
    "scraped_at": "vid_scrapeTime",
    "caption": "vid_caption",
    "hashtags": "vid_hashtags",
    "duration_seconds": "vid_duration",
    "views": "vid_nview",
    "likes": "vid_nlike",
    "comments": "vid_ncomment",
    "shares": "vid_nshare",
    "saves": "vid_nsave",
    "author_followers": "user_nfollower",
    "page_url": "vid_url",
}


@pytest.fixture
def store(tmp_path, ray_session) -> Store:
    (tmp_path / "root").mkdir()
    return Store.open(tmp_path / "root")


def contents(store: Store) -> dict[str, str]:
    """SHA-256 of every object of a root."""
    return {info.key: hashlib.sha256(store.read(info.key)).hexdigest() for info in store.objects("")}


def accounted(summary: ingest.IngestSummary) -> bool:
    return summary.rows == summary.posts + summary.duplicates + summary.rejects


def test_trending_posts_and_the_same_once_more(store, shared_data):
    source = IngestSource("trending_json", (str(shared_data / "trending_dec2020"),))
    summary = ingest.run(store, source)
    assert (summary.files, summary.rows, summary.posts, summary.rejects, summary.table_rows) == (1, 1000, 1000, 0, 1000)
    before = contents(store)
    assert len(before) == 1
    again = ingest.run(store, source)
    assert (again.posts, again.changed, again.table_rows) == (1000, 0, 1000)
    assert contents(store) == before


def test_many_buckets_hold_what_one_does(store, shared_data, monkeypatch):
    """As for a table of 200,000 posts."""
    source = IngestSource("trending_json", (str(shared_data / "trending_dec2020"),))
    monkeypatch.setattr(ingest, "log2_buckets_for", lambda rows: 3)
    summary = ingest.run(store, source)
    assert (summary.rows, summary.posts, summary.changed, summary.table_rows) == (1000, 1000, 1000, 1000)
    assert [part.bucket for part in posts_table(store).files()] == list(range(8))
    again = ingest.run(store, source)
    assert (again.posts, again.changed, again.table_rows) == (1000, 0, 1000)


def test_a_second_crawl_replaces_what_it_saw_again(store, shared_data):
    folder = shared_data / "vn_tiktok"
    first, second = (
        IngestSource("csv", (str(folder / name),), VN_TIKTOK) for name in ("raw_data.csv", "recrawled_1v.csv")
    )
    summary = ingest.run(store, first)
    assert (summary.rows, accounted(summary), summary.table_rows) == (10_102, True, summary.posts)
    assert (summary.posts, summary.duplicates, summary.rejects) == (10_102, 0, 0)
    old = {row["post_id"]: row for row in posts_table(store).read().to_pylist()}
    summary = ingest.run(store, second)
    assert (summary.rows, summary.rejects, accounted(summary)) == (2_409, 1, True)
    [reason] = summary.reject_reasons
    assert "'Share' is not a count" in reason
    new = {row["post_id"]: row for row in posts_table(store).read().to_pylist()}
    assert summary.table_rows == len(new) >= len(old)
    seen_again = [post for post in old if new[post]["scraped_at"] > old[post]["scraped_at"]]
    assert len(seen_again) == summary.changed - (len(new) - len(old))
    assert new["7506832682593094928"]["views"] == 778_100
    assert all(new[post] == old[post] for post in old.keys() - set(seen_again))
    assert rejects_table(store).read()["file"].to_pylist() == [str(folder / "recrawled_1v.csv")]
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


@pytest.mark.parametrize("template", ["videos/{id}.mp4", "videos/{}.mp4", "videos/{post_id", "videos/{post_id.x}.mp4"])
def test_a_template_that_names_something_else_is_refused(store, tmp_path, template):
    (tmp_path / "p.csv").write_text("post_id,views\n1,2\n")
    with pytest.raises(ConfigError, match="--video-uri"):
        ingest.run(store, IngestSource("csv", (str(tmp_path / "p.csv"),), video_uri=template))


def test_an_ingest_that_was_killed_leaves_nothing_in_the_way(store, tmp_path):
    (tmp_path / "p.csv").write_text("post_id\n1\n")
    source = IngestSource("csv", (str(tmp_path / "p.csv"),))
    store.write("staging/ingest-0123456789abcdef/posts/x/part-00-000000-1-ab.parquet", b"half")
    assert ingest.run(store, source, force=True).posts == 1
    assert [info.key.split("/")[0] for info in store.objects("")] == ["posts"]


def test_files_that_are_not_there(store, tmp_path, s3_server):
    for name, message in (("nothing.csv", "no file or folder"), (".", "no csv file at")):
        with pytest.raises(SourceError, match=message):
            ingest.run(store, IngestSource("csv", (str(tmp_path / name),)))
    for name in ("s3://bucket-that-is-not/x.csv", "s3://bucket-that-is-not/folder"):
        with pytest.raises((SourceError, TableError)):
            ingest.run(store, IngestSource("csv", (name,)))


def test_what_a_task_raises_comes_as_itself(store, tmp_path):
    (tmp_path / "p.csv").write_text("id\n1\n")
    with pytest.raises(SourceError, match="has no column 'post_id'"):
        ingest.run(store, IngestSource("csv", (str(tmp_path / "p.csv"),)))
    assert contents(store) == {}


def test_the_wrong_source_is_refused_and_nulls_nothing(store, shared_data, tmp_path):
    """Ingested as `tiktok_api`, these posts had an id and nothing else, and hid what was known of them."""
    right = IngestSource("trending_json", (str(shared_data / "trending_dec2020"),))
    ingest.run(store, right)
    before, columns = contents(store), ["views", "caption", "author_id", "posted_at"]
    known = posts_table(store).read(columns=columns)
    ids = posts_table(store).read(columns=["post_id"])["post_id"].to_pylist()
    (tmp_path / "wrong.jsonl").write_text("\n".join(json.dumps({"id": post, "plays": 3}) for post in ids[:719]))
    wrong = IngestSource("tiktok_api", (str(tmp_path / "wrong.jsonl"),))
    with pytest.raises(SourceError, match=r"^719 of 719 posts hold nothing but an id: tiktok_api is not the source of"):
        ingest.run(store, wrong)
    assert contents(store) == before
    forced = ingest.run(store, wrong, force=True)
    assert (forced.posts, forced.table_rows) == (719, 1000)
    assert posts_table(store).read(columns=columns).equals(known)


@pytest.mark.parametrize("name", ["research_list.json", "zeeschuimer.ndjson"])
@pytest.mark.parametrize("kind", ["tiktok_api", "trending_json"])
def test_exports_of_other_tools_never_become_posts_of_an_id(store, shared_data, name, kind):
    before = contents(store)
    source = IngestSource(kind, (str(shared_data / "trouble" / name),))
    try:
        summary = ingest.run(store, source)
    except SourceError:
        assert contents(store) == before
    else:  # the rows are rejects, or have more than an id
        assert summary.rejects == summary.rows or posts_table(store).read()["views"].null_count == 0


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


def test_all_rows_rejected_is_no_success(viral, tmp_path):
    (tmp_path / "p.csv").write_text("post_id,views\n,1\n1,many\n2,some\n")
    (tmp_path / "root").mkdir()
    done = viral("ingest", "csv", tmp_path / "p.csv", "--root", tmp_path / "root", "--json")
    assert done.returncode == 2
    assert json.loads(done.stdout)["rejects"] == 3
    assert done.stderr.startswith("error: all 3 rows were rejected, most because: ")
    assert done.stderr.count("\n") == 1
    assert rejects_table(Store(tmp_path / "root")).stored_rows() == 3


def test_a_folder_of_info_files(store, shared_data, tmp_path):
    folder = tmp_path / "scraped"
    folder.mkdir()
    (folder / "v1.info.json").write_text(json.dumps({"id": "v1", "view_count": 3, "ext": "mp4"}))
    (folder / "v1.mp4").write_bytes(b"video")
    assert ingest.run(store, IngestSource("yt_dlp", (str(folder),))).posts == 1
    [post] = posts_table(store).read().to_pylist()
    assert (post["views"], Path(post["video_uri"]).name) == (3, "v1.mp4")


def test_the_map_of_a_file_and_of_the_command_line(tmp_path):
    file = tmp_path / "map.yaml"
    file.write_text("post_id: id\nviews: plays\n")
    assert column_map(["views=n=1", "likes=hearts"], str(file)) == {"post_id": "id", "views": "n=1", "likes": "hearts"}
    assert column_map([], None) == {}


@pytest.mark.parametrize(
    ("pairs", "content", "message"),
    [
        (["views"], None, "--map views is not OURS=THEIRS"),
        ([], "- a\n- b\n", "is not a column map"),
        ([], "a: [", "cannot read the column map"),
        ([], b"\xff\xfe\xfa", "cannot read the column map"),
    ],
)
def test_no_map(tmp_path, pairs, content, message):
    file = tmp_path / "map.yaml"
    if content is not None:
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ConfigError, match=message):
        column_map(pairs, str(file) if content is not None else None)
