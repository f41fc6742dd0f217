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


def test_each_table_has_the_rows_that_the_library_reads(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with viral.query(store) as root:
        assert list(root.tables) == ["features_small", "fetches", "labels_log_views", "posts", "rejects"]
        for name, table in root.tables.items():
            expected = table.table.read().to_pylist()
            found = root.sql(f'SELECT * FROM {name} ORDER BY "{table.table.key}"').to_pylist()
            assert found == expected, name
            assert root.sql(f"SELECT count(*) AS n FROM {name}")["n"].to_pylist() == [len(expected)]
    assert not list(tmp_path.glob(f"{PREFIX}*"))


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
    "sql",
    [
        "SELECT max(#2) FROM posts WHERE views > 0",
        "SELECT p.b FROM posts AS p(id, b) JOIN labels_log_views l ON p.id = l.post_id ORDER BY 1",
        "SELECT main.posts FROM posts ORDER BY post_id",
        "SELECT q FROM (SELECT * EXCLUDE (views) FROM posts) AS q ORDER BY post_id",
        "SELECT * FROM posts PIVOT (sum(views) FOR source IN ('test') GROUP BY caption) ORDER BY ALL",
        "SELECT CAPTION FROM POSTS ORDER BY ALL",
        'SELECT "caption" FROM "posts" ORDER BY ALL',
        "WITH t AS (SELECT post_id, views AS v FROM posts) SELECT sum(v) FROM t JOIN features_small USING (post_id)",
        "SELECT post_id FROM posts QUALIFY row_number() OVER (PARTITION BY source ORDER BY views DESC, post_id) = 1",
        "SELECT unnest(hashtags) AS tag FROM posts ORDER BY ALL",
        "SELECT map_keys(stage_seconds) FROM features_small ORDER BY post_id",
        "SELECT post_id FROM posts UNION ALL SELECT caption FROM posts ORDER BY ALL",
    ],
)
def test_what_a_query_means_without_naming_it_is_read(store: Store, sql: str) -> None:
    """As of tables of which all columns are read; also after a query that has read few."""
    with viral.query(store) as all_columns:
        for name in all_columns.tables:
            all_columns.sql(f"SELECT * FROM {name}")
        expected = all_columns.sql(sql)
    with viral.query(store) as fresh:
        assert fresh.sql(sql).equals(expected)
    with viral.query(store) as used:
        for name, column in (("posts", "views"), ("labels_log_views", "split"), ("features_small", "status")):
            used.sql(f"SELECT {column} FROM {name}")
        assert used.sql(sql).equals(expected)
    assert expected.num_rows


def test_tables_that_are_named_in_a_text_are_not_taken_for_empty(store: Store) -> None:
    with viral.query(store) as root:
        with pytest.raises(UsageError, match="Table with name posts does not exist"):
            root.sql("SELECT count(*) FROM query('SELECT post_id FROM posts')")
        assert root.sql("SELECT views FROM posts").num_rows == POST_COUNT - 1
        with pytest.raises(UsageError, match="has not read the column caption"):
            root.sql("SELECT max(caption) FROM query('SELECT caption FROM posts')")


def test_names_that_differ_in_signs_or_case_are_two_tables(any_store: Store) -> None:
    for number, name in enumerate(("a-b", "a.b", "A_b", "plain")):
        version = uuid.uuid4().hex[:12]
        table = replaced.begin(any_store, f"labels/{name}", LABELS, version)
        table.append(pa.Table.from_pylist([_label(number, 0)], schema=LABELS), 0)
        replaced.commit(any_store, f"labels/{name}", version, {})
    with viral.query(any_store) as root:
        found = {name: root.sql(f'SELECT target FROM "{name}"')["target"].to_pylist() for name in root.tables}
    assert found == {"labels_A_b": [2.0], "labels_a-b": [0.0], "labels_a.b": [1.0], "labels_plain": [3.0]}


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        ("", "a query is one SELECT, not 0"),
        (f"SELECT {'+'.join(['1'] * 600)}", "the query is nested too deeply"),
        ("SELECT nofunction(1)", "Function with name nofunction does not exist!"),
        ("PIVOT posts ON kind USING sum(views)", "a query is a SELECT (a PIVOT with IN"),
        ("SELECT *\nFROM posts\nWHERE caption::INT > 3", "when casting from source column caption"),
        ("SELEC 1", 'syntax error at or near "SELEC"'),
        ("SELECT 1; SELECT 2", "a query is one SELECT, not 2"),
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


def test_values_without_a_form_are_one_line_and_leave_no_file(viral_here: Viral, tmp_path: Path) -> None:
    (tmp_path / "before.parquet").write_text("as it was")
    interval = "SELECT TIMESTAMP '2025-01-02' - TIMESTAMP '2025-01-01' AS d, sum(1) AS n"
    refused = viral_here("query", interval, "--parquet", tmp_path / "before.parquet", "--root", tmp_path)
    assert (refused.returncode, refused.stderr.count("\n"), "cast it" in refused.stderr) == (2, 1, True)
    assert (tmp_path / "before.parquet").read_text() == "as it was"
    assert [path.name for path in tmp_path.iterdir()] == ["before.parquet"]
    shown = json.loads(viral_here("query", interval, "--json", "--root", tmp_path).stdout)
    assert shown == {"d": {"months": 0, "days": 1, "nanoseconds": 0}, "n": 1}
    refused = viral_here("query", "SELECT 'infinity'::DATE AS d", "--root", tmp_path)
    assert (refused.returncode, "cast it" in refused.stderr) == (2, True)
    shown = viral_here("query", "SELECT 'a\x1b[31mb' AS t", "--root", tmp_path).stdout
    assert shown.splitlines()[1] == "a [31mb"


def test_options_that_exclude_each_other_and_tables_that_there_are_not(viral_here: Viral, tmp_path: Path) -> None:
    refused = viral_here("query", "SELECT 1", "--csv", "--json", "--root", tmp_path)
    assert (refused.returncode, refused.stderr) == (
        2,
        "error: --csv, --json and --parquet exclude each other: choose one\n",
    )
    refused = viral_here("tables", "posts", "--root", tmp_path)
    assert (refused.returncode, refused.stderr) == (2, "error: there is no table posts: there are none\n")
