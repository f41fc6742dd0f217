"""What `viral ingest` refuses: it names the reason, and leaves the root as it was."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from jobs import ingest
from jobs.ingesting.source import IngestSource
from tests.jobs.conftest import contents
from tests.sources.scrapes import write_trending
from viral.errors import ConfigError, SourceError, TableError
from viral.sources import ReadSettings
from viral.storage.store import Store
from viral.tables.places import posts_table, rejects_table


@pytest.fixture
def store(tmp_path, ray_session) -> Store:
    (tmp_path / "root").mkdir()
    return Store.open(tmp_path / "root")


@pytest.mark.parametrize("template", ["videos/{id}.mp4", "videos/{}.mp4", "videos/{post_id", "videos/{post_id.x}.mp4"])
def test_a_template_that_names_something_else_is_refused(store, tmp_path, template):
    (tmp_path / "p.csv").write_text("post_id,views\n1,2\n")
    with pytest.raises(ConfigError, match="--video-uri"):
        ingest.run(store, IngestSource("csv", (str(tmp_path / "p.csv"),), video_uri=template))


def test_files_that_are_not_there(store, tmp_path, s3_server):
    for name, message in (("nothing.csv", "no file or folder"), (".", "no csv file at")):
        with pytest.raises(SourceError, match=message):
            ingest.run(store, IngestSource("csv", (str(tmp_path / name),)))
    for name in ("s3://bucket-that-is-not/x.csv", "s3://bucket-that-is-not/folder"):
        with pytest.raises((SourceError, TableError)):
            ingest.run(store, IngestSource("csv", (name,)))


def test_what_a_task_raises_comes_as_itself(store, tmp_path):
    (tmp_path / "a.csv").write_text("post_id,views\n1,2\n")
    (tmp_path / "p.csv").write_text("user,plays\n1,2\n")
    with pytest.raises(SourceError, match=r"p.csv is of no known exporter, .* It has: user, plays"):
        ingest.run(store, IngestSource("csv", (str(tmp_path / "a.csv"), str(tmp_path / "p.csv"))))
    assert contents(store) == {}


def test_the_wrong_source_is_refused_and_nulls_nothing(store, tmp_path):
    """Ingested as `tiktok_api`, these posts had an id and nothing else, and hid what was known of them."""
    right = IngestSource("trending_json", (str(write_trending(tmp_path / "dump").parent),))
    ingest.run(store, right)
    before, columns = contents(store), ["views", "caption", "author_id", "posted_at"]
    known = posts_table(store).read(columns=columns)
    ids = posts_table(store).read(columns=["post_id"])["post_id"].to_pylist()
    (tmp_path / "wrong.jsonl").write_text("\n".join(json.dumps({"id": post, "plays": 3}) for post in ids[:719]))
    wrong = IngestSource("tiktok_api", (str(tmp_path / "wrong.jsonl"),))
    with pytest.raises(SourceError, match=r"^719 of 719 posts hold nothing but an id: tiktok_api is not the source of"):
        ingest.run(store, wrong)
    assert contents(store) == before
    forced = ingest.run(store, replace(wrong, settings=ReadSettings(force=True)))
    assert (forced.posts, forced.table_rows) == (719, 1000)
    assert posts_table(store).read(columns=columns).equals(known)


def test_an_export_of_another_tool_is_refused_before_anything_is_written(store, tmp_path):
    row = {
        "id": 7106594312292453100,
        "username": "u0",
        "create_time": 1654646400,
        "view_count": 100,
        "region_code": "US",
    }
    (tmp_path / "list.json").write_text(json.dumps([row]))
    for kind in ("tiktok_api", "trending_json", "apify_instagram"):
        with pytest.raises(SourceError, match=f"is not a file of {kind}, but one of research_api"):
            ingest.run(store, IngestSource(kind, (str(tmp_path / "list.json"),)))
    assert contents(store) == {}


def test_a_map_that_misreads_most_values_changes_nothing(store, tmp_path):
    rows = "\n".join(f"{7106594312292453001 + n},{n},some text {n}" for n in range(50))
    (tmp_path / "p.csv").write_text(f"post_id,plays,text\n{rows}\n")
    wrong = IngestSource(None, (str(tmp_path / "p.csv"),), {"post_id": "post_id", "views": "text", "caption": "plays"})
    with pytest.raises(SourceError, match=r"50 of 50 values of views \(text\) cannot be read, as 'some text 0' is not"):
        ingest.run(store, wrong)
    assert contents(store) == {}


def test_rounded_identifiers_are_refused_until_forced(store, tmp_path):
    rows = "\n".join(f"{(7106594312292453001 + n * 7919_000) // 1000 * 1000},{n + 1}" for n in range(50))
    (tmp_path / "p.csv").write_text(f"post_id,views\n{rows}\n")
    source = IngestSource("csv", (str(tmp_path / "p.csv"),))
    with pytest.raises(SourceError, match=r"of \d+ identifiers look rounded"):
        ingest.run(store, source)
    assert contents(store) == {}
    assert ingest.run(store, replace(source, settings=ReadSettings(force=True))).posts == 50


def test_row_numbers_are_no_identifiers(store, tmp_path):
    (tmp_path / "p.csv").write_text("Index,views\n" + "\n".join(f"{n},{n * 7}" for n in range(12)))
    source = IngestSource("csv", (str(tmp_path / "p.csv"),), {"post_id": "Index", "views": "views"})
    with pytest.raises(SourceError, match="the identifiers are the numbers of the rows"):
        ingest.run(store, source)
    assert contents(store) == {}
    assert ingest.run(store, replace(source, settings=ReadSettings(force=True))).posts == 12


def test_all_rows_rejected_is_no_success(viral, tmp_path):
    (tmp_path / "p.csv").write_text("post_id,views\n,1\n7.5e+18,2\nnan,3\n")
    (tmp_path / "root").mkdir()
    done = viral("ingest", "csv", tmp_path / "p.csv", "--root", tmp_path / "root", "--json")
    assert done.returncode == 2
    assert json.loads(done.stdout)["rejects"] == 3
    assert done.stderr.startswith("error: all 3 rows were rejected, most because: ")
    assert done.stderr.count("\n") == 1
    assert rejects_table(Store(tmp_path / "root")).stored_rows() == 3
