"""SQL over the tables of a root gives the rows that the library reads."""

from __future__ import annotations

import csv
import io
import json
import tempfile
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import viral
from tests.conftest import Viral
from viral.errors import UsageError
from viral.extractors.feature_set import FeatureSet
from viral.features.feature_table import feature_row, features_table
from viral.features.posts import ExtractionResult
from viral.features.reuse import write_feature_card
from viral.queries.queries import PREFIX
from viral.storage.store import Store
from viral.tables import replaced
from viral.tables.places import fetches_table, posts_table, rejects_table
from viral.tables.schemas import FETCHES, LABELS, POST_VIDEOS, POSTS, REJECTS

SET = FeatureSet.from_dict({"name": "small", "extractors": ["metadata", "craft"]})
POST_COUNT = 12


def at(day: int) -> datetime:
    return datetime(2025, 1, day, tzinfo=UTC)


@pytest.fixture
def store(any_store: Store) -> Store:
    """Tables whose files are merged in part: newer scrapes, fetched videos, second attempts, a label replaced."""
    posts = posts_table(any_store)
    for day, views in ((1, 10), (2, None), (3, 30)):
        rows = [{**_post(number), "scraped_at": at(day), "views": views} for number in range(POST_COUNT)]
        posts.append(pa.Table.from_pylist(rows[day:], schema=POSTS), day - 1)
    posts.merge(None, 1, 0)
    fetched = {"post_id": "post 3", "video_uri": "videos/3.mp4", "sha256": None, "fetched_at": at(4)}
    posts.videos.append(pa.Table.from_pylist([fetched], schema=POST_VIDEOS), 0)
    reject = {"reject_id": "r", "source": "test", "file": "a.csv", "row": 7, "reason": "no id", "raw": "{}"}
    rejects_table(any_store).append(pa.Table.from_pylist([reject], schema=REJECTS), 0)
    fetch = dict.fromkeys(FETCHES.names) | {"url": "https://a/b", "host": "a", "status": "failed", "attempts": 2}
    for day, status in ((1, "failed"), (2, "done")):
        row = fetch | {"fetched_at": at(day), "status": status}
        fetches_table(any_store).append(pa.Table.from_pylist([row], schema=FETCHES), 0)
    features = features_table(any_store, SET)
    write_feature_card(any_store, SET)
    for attempt in range(2):
        results = [_result(number, attempt) for number in range(POST_COUNT - 4 * attempt)]
        rows = [feature_row(result, SET) for result in results]
        features.append(pa.Table.from_pylist(rows, schema=features.schema), attempt)
    for threshold in (20, 25):
        labels = [_label(number, threshold) for number in range(POST_COUNT)]
        version = uuid.uuid4().hex[:12]
        table = replaced.begin(any_store, "labels/log_views", LABELS, version)
        table.append(pa.Table.from_pylist(labels, schema=LABELS), 0)
        replaced.commit(any_store, "labels/log_views", version, {})
    return any_store


def _post(number: int) -> dict[str, Any]:
    row = {"post_id": f"post {number}", "source": "test", "caption": f'words "{number}", é漢', "hashtags": ["a", "b"]}
    return {**dict.fromkeys(POSTS.names), **row, "video_uri": f"https://a/{number}"}


def _result(number: int, attempt: int) -> ExtractionResult:
    vectors = {name: pa.array([number + attempt] * dim, pa.float32()).to_numpy() for name, dim in SET.dims.items()}
    return ExtractionResult(f"post {number}", "ok", vectors=vectors, stage_seconds={"read": 0.5}, attempt=attempt)


def _label(number: int, threshold: int) -> dict[str, Any]:
    row = {"post_id": f"post {number}", "split": "train", "target": float(number), "is_viral": number > threshold}
    return {**dict.fromkeys(LABELS.names), **row}


def test_each_table_has_the_rows_that_the_library_reads(store: Store) -> None:
    with viral.query(store) as root:
        assert list(root.tables) == ["features_small", "fetches", "labels_log_views", "posts", "rejects"]
        for name, table in root.tables.items():
            expected = table.table.read().to_pylist()
            found = root.sql(f'SELECT * FROM {name} ORDER BY "{table.table.key}"').to_pylist()
            assert found == expected, name
            assert root.sql(f"SELECT count(*) AS n FROM {name}")["n"].to_pylist() == [len(expected)]
    assert not list(Path(tempfile.gettempdir()).glob(f"{PREFIX}*"))


def test_columns_come_when_a_query_names_them(store: Store) -> None:
    with viral.query(store) as root:
        one = "post_id = 'post 3'"
        assert root.sql(f"SELECT views FROM posts WHERE {one}").to_pylist() == [{"views": 30}]
        assert root.sql(f"SELECT p.video_uri AS uri FROM posts p WHERE p.{one}").to_pylist() == [
            {"uri": "videos/3.mp4"}
        ]
        ((row,),) = root.sql(f"SELECT posts FROM posts WHERE {one}").to_pydict().values()
        assert row.keys() == set(POSTS.names)
        joined = "SELECT views, target FROM posts JOIN labels_log_views USING (post_id) WHERE craft[1] = 4"
        assert root.sql(f"{joined.replace('WHERE', 'JOIN features_small USING (post_id) WHERE')}").to_pylist() == [
            {"views": 30, "target": 3.0}
        ]
        both = root.sql("SELECT a.post_id, b.post_id, 1 AS post_id_1 FROM posts a JOIN posts b USING (post_id)")
        assert both.column_names == ["post_id", "post_id_2", "post_id_1"]
        described = root.sql("DESCRIBE features_small").to_pylist()
        assert [column["column_name"] for column in described][-2:] == ["metadata", "craft"]


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        ("SELEC 1", 'syntax error at or near "SELEC"'),
        ("SELECT 1; SELECT 2", "a query is one SELECT, not 2: leave out the others"),
        ("DELETE FROM posts", "a query is a SELECT"),
        ("COPY posts TO 'x.csv'", "a query is a SELECT"),
        ("SELECT nothing FROM posts", 'Referenced column "nothing" not found in FROM clause!'),
        ("SELECT * FROM models", "there are features_small, fetches, labels_log_views, posts, rejects"),
        ("SELECT * FROM read_csv('/etc/passwd')", "disabled by configuration"),
        ("SELECT caption::INT FROM posts", "Could not convert string"),
    ],
)
def test_what_is_no_query_is_one_line(store: Store, sql: str, message: str) -> None:
    with viral.query(store) as root, pytest.raises(UsageError) as refused:
        root.sql(sql)
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_root_without_tables_has_none(any_store: Store) -> None:
    with viral.query(any_store) as root:
        assert root.tables == {}
        assert root.sql("SELECT 1 + 1 AS two").to_pylist() == [{"two": 2}]


def test_the_commands(store: Store, viral_here: Viral, tmp_path: Path) -> None:
    def run(*arguments: str | Path) -> str:
        done = viral_here(*arguments, VIRAL_ROOT=store.root)
        assert (done.returncode, done.stderr) == (0, ""), done
        return done.stdout

    sql = "SELECT post_id, views, scraped_at, hashtags, caption FROM posts ORDER BY views DESC, post_id LIMIT 2"
    expected = [row for row in posts_table(store).read().to_pylist() if row["views"] == 30][:2]
    shown = run("query", sql).splitlines()
    assert shown[0].split() == ["post_id", "views", "scraped_at", "hashtags", "caption"]
    assert [line[: len("post 10")].strip() for line in shown[1:]] == [row["post_id"] for row in expected]
    rows = list(csv.DictReader(io.StringIO(run("query", sql, "--csv"))))
    assert [row["caption"] for row in rows] == [row["caption"] for row in expected]
    assert [json.loads(row["hashtags"]) for row in rows] == [["a", "b"]] * 2
    lines = [json.loads(line) for line in run("query", sql, "--json").splitlines()]
    assert lines[0]["scraped_at"] == expected[0]["scraped_at"].isoformat()
    seconds = json.loads(run("query", "SELECT stage_seconds FROM features_small LIMIT 1", "--json"))
    assert seconds == {"stage_seconds": {"read": 0.5}}
    assert run("query", sql, "--parquet", tmp_path / "rows.parquet") == f"2 rows in {tmp_path / 'rows.parquet'}\n"
    assert pq.read_table(tmp_path / "rows.parquet")["caption"].to_pylist() == [row["caption"] for row in expected]
    assert "more than 100 rows" in run("query", "SELECT * FROM posts, fetches, range(20)")
    listed = {line.split()[0]: line.split()[1:] for line in run("tables").splitlines()}
    assert listed["rejects"][::2] == ["1", str(len(REJECTS))]
    assert run("tables", "rejects").splitlines()[0].split() == ["reject_id", "string"]
    (table,) = json.loads(run("tables", "rejects", "--json"))["tables"]
    assert (table["name"], table["rows"], table["columns"]["row"]) == ("rejects", 1, "int64")


def test_options_that_exclude_each_other_and_tables_that_there_are_not(viral_here: Viral, tmp_path: Path) -> None:
    refused = viral_here("query", "SELECT 1", "--csv", "--json", "--root", tmp_path)
    assert (refused.returncode, refused.stderr) == (
        2,
        "error: --csv, --json and --parquet exclude each other: choose one\n",
    )
    refused = viral_here("tables", "posts", "--root", tmp_path)
    assert (refused.returncode, refused.stderr) == (2, "error: there is no table posts: there are none\n")
