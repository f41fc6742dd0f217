from __future__ import annotations

from datetime import UTC, date, datetime

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from viral.errors import ConfigError, SourceError

MOMENT = datetime(2025, 5, 21, 9, 44, 45, tzinfo=UTC)


@pytest.fixture
def file(tmp_path):
    def write(columns):
        pq.write_table(pa.table(columns), tmp_path / "posts.parquet")
        return tmp_path / "posts.parquet"

    return write


def test_typed_columns_are_read_as_what_they_are(read_file, file):
    path = file(
        {
            "id": pa.array([7506832682593094928, 2, 3]),
            "plays": pa.array([541200.0, None, 123456789012.0]),
            "likes": pa.array(["21.9K", "", None]),
            "when": pa.array([MOMENT.replace(tzinfo=None)] * 3, pa.timestamp("ns")),
            "day": pa.array([date(2025, 5, 29)] * 3),
            "tags": pa.array([["A", "#b"], [], None]),
            "text": pa.array(["x", "x #c", None]).dictionary_encode(),
            "own": pa.array([True, False, None]),
            "unused": pa.array([b"\x00"] * 3),
        }
    )
    columns = {"post_id": "id", "views": "plays", "likes": "likes", "posted_at": "when", "scraped_at": "day"}
    columns |= {"hashtags": "tags", "caption": "text", "sound_original": "own"}
    posts = read_file("parquet", path, columns=columns).posts.to_pydict()
    assert posts["post_id"] == ["7506832682593094928", "2", "3"]
    assert posts["views"] == [541200, None, 123456789012]
    assert posts["likes"] == [21900, None, None]
    assert posts["posted_at"] == [MOMENT] * 3
    assert posts["scraped_at"] == [datetime(2025, 5, 29, tzinfo=UTC)] * 3
    assert posts["hashtags"] == [["a", "b"], ["c"], None]
    assert posts["sound_original"] == [True, False, None]


def test_an_identifier_kept_as_a_float_is_rejected(read_file, file):
    parsed = read_file("parquet", file({"post_id": [7506832682593094928.0, 12.0]}))
    assert parsed.posts["post_id"].to_pylist() == ["12"]
    assert "lost digits" in parsed.rejects["reason"].to_pylist()[0]
    assert parsed.rejects["raw"].to_pylist() == ['{"post_id": 7.506832682593095e+18}']


def test_rejects_know_their_row_in_later_batches(read_file, file):
    path = file({"post_id": [None if n == 17 else str(n) for n in range(20)], "views": ["1"] * 20})
    assert read_file("parquet", path, batch_rows=6).rejects["row"].to_pylist() == [18]


def test_our_own_table_comes_back_unchanged(read_file, read_bytes, tmp_path):
    content = "post_id,source,author_id,posted_at,hashtags,views,sound_original\n1,feed,a,2025-05-21,x y,3,true\n"
    posts = read_bytes("csv", content).posts
    pq.write_table(posts, tmp_path / "posts.parquet")
    assert read_file("parquet", tmp_path / "posts.parquet").posts.equals(posts)


def test_a_map_that_does_not_fit_is_an_error(read_file, file):
    with pytest.raises(ConfigError, match="has no column 'vid'"):
        read_file("parquet", file({"id": ["1"]}), columns={"post_id": "vid"})


def test_a_column_of_the_wrong_kind_is_an_error(read_file, file):
    with pytest.raises(SourceError, match="'views' is of type"):
        read_file("parquet", file({"post_id": ["1"], "views": [[1]]}))


def test_what_is_no_parquet_is_an_error(read_bytes):
    with pytest.raises(SourceError, match="not readable Parquet"):
        read_bytes("parquet", b"post_id\n1\n")
