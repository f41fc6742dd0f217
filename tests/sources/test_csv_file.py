from __future__ import annotations

import io
from pathlib import Path

import pyarrow.compute as pc
import pytest

from tests.sources.conftest import read_as
from viral.errors import ConfigError, SourceError

VN_TIKTOK = {
    "post_id": "vid_id",
    "author_id": "user_name",
    "posted_at": "vid_postTime",
    "scraped_at": "vid_scrapeTime",
    "caption": "vid_caption",
    "hashtags": "vid_hashtags",
    "sound_id": "music_id",
    "sound_title": "music_title",
    "sound_original": "music_originality",
    "duration_seconds": "vid_duration",
    "views": "vid_nview",
    "likes": "vid_nlike",
    "comments": "vid_ncomment",
    "shares": "vid_nshare",
    "saves": "vid_nsave",
    "author_followers": "user_nfollower",
    "page_url": "vid_url",
}
TIKTOK_VIDEOS = {
    "post_id": "id",
    "author_id": "username",
    "posted_at": "create_time",
    "caption": "video_description",
    "duration_seconds": "duration",
    "views": "views_t1",
    "likes": "likes_t1",
    "comments": "comments_t1",
    "shares": "shares_t1",
    "video_uri": "file",
}


def test_every_row_of_vn_tiktok_is_accounted_for(read_file, shared_data):
    parsed = read_file("csv", shared_data / "vn_tiktok" / "raw_data.csv", columns=VN_TIKTOK)
    assert (parsed.rows, parsed.posts.num_rows, parsed.rejects.num_rows) == (10_102, 10_102, 0)
    assert pc.count_distinct(parsed.posts["post_id"]).as_py() == 10_102
    first = parsed.posts.slice(0, 1).to_pylist()[0]
    assert (first["views"], first["likes"], first["author_followers"]) == (541_200, 21_900, 304_900)
    assert (first["duration_seconds"], first["sound_original"], first["hashtags"]) == (31.0, True, ["xuhuongtiktok"])
    # Every sound lost its last digits to floating point before it was published.
    assert parsed.posts["sound_id"].null_count == 10_102
    assert parsed.posts["comments"].null_count == 41


def test_the_second_crawl_reads_through_its_byte_order_mark(read_file, shared_data):
    parsed = read_file("csv", shared_data / "vn_tiktok" / "recrawled_1v.csv", columns=VN_TIKTOK)
    assert (parsed.rows, parsed.posts.num_rows) == (2_409, 2_409)
    assert parsed.posts["author_id"].null_count == 0
    assert parsed.posts["views"].null_count == 357
    assert parsed.findings.unreadable == {"shares (vid_nshare)": 1}
    assert parsed.findings.examples == {"shares (vid_nshare)": "'Share' is not a count"}
    assert parsed.posts["shares"].to_pylist()[2198] is None


def test_the_posts_beside_the_videos_point_at_them(read_file, shared_data):
    folder = shared_data / "tiktok_videos"
    parsed = read_file("csv", folder / "posts.csv", columns=TIKTOK_VIDEOS, base_uri=str(folder))
    assert (parsed.posts.num_rows, parsed.rejects.num_rows) == (43, 0)
    assert all(Path(uri).is_file() for uri in parsed.posts["video_uri"].to_pylist())
    assert parsed.posts["views"].to_pylist()[:2] == [67, 119469]
    assert "fypシ" in parsed.posts["hashtags"].to_pylist()[3]


def test_columns_called_like_those_of_a_post_need_no_map(read_bytes):
    [post] = read_bytes("csv", "post_id,views,something\n1,2K,x\n").posts.to_pylist()
    assert (post["post_id"], post["views"], post["source"]) == ("1", 2000, "csv")


@pytest.mark.parametrize(
    ("columns", "error", "message"),
    [
        ({"post_id": "vid"}, ConfigError, "has no column 'vid' for post_id; it has: id, plays"),
        (
            {"post_id": "id", "plays": "plays"},
            ConfigError,
            "'plays' in the map is not a post column; these are: post_id, ",
        ),
        (None, SourceError, "no column that is called like an identifier of posts: name it .* It has: user, plays"),
    ],
)
def test_a_map_that_does_not_fit_is_an_error_at_once(read_bytes, columns, error, message):
    with pytest.raises(error, match=message):
        read_bytes("csv", "user,plays\n1,2\n" if columns is None else "id,plays\n1,2\n", columns=columns)


def test_a_column_that_is_there_twice_is_not_guessed(read_bytes):
    with pytest.raises(SourceError, match="'post_id' more than once"):
        read_bytes("csv", "post_id,post_id\n1,2\n")


def test_malformed_rows_are_rejects_at_their_place(read_bytes):
    content = 'post_id,views\n1,1\n2\n"3\n3",3\n4,4,4\n5,x\n6,6\n7,7,7\n'
    parsed = read_bytes("csv", content)
    assert parsed.rows == 7
    assert parsed.posts["post_id"].to_pylist() == ["1", "3\n3", "5", "6"]
    assert [(reject["row"], reject["reason"]) for reject in parsed.rejects.to_pylist()] == [
        (2, "1 values where the header has 2"),
        (4, "3 values where the header has 2"),
        (7, "3 values where the header has 2"),
    ]
    assert parsed.rejects["raw"].to_pylist()[1] == '"4,4,4"'


def test_row_numbers_hold_over_many_batches():
    lines = ["post_id,views", *("1" if n % 7 == 0 else f"{'' if n % 5 == 0 else n},{n}" for n in range(1, 1001))]
    content = "\n".join(lines).encode()
    batches = list(read_as("csv", "f", lambda _: io.BytesIO(content), batch_rows=64))
    rejected = [row for batch in batches for row in batch.rejects["row"].to_pylist()]
    posts = [name for batch in batches for name in batch.posts["post_id"].to_pylist()]
    assert sorted(rejected) == [n for n in range(1, 1001) if n % 7 == 0 or n % 5 == 0]
    assert posts == [str(n) for n in range(1, 1001) if n % 7 and n % 5]
    assert sum(batch.rows for batch in batches) == 1000


def test_a_row_that_is_not_utf8_is_a_reject(read_bytes):
    parsed = read_bytes("csv", b"post_id,caption,note\n1,caf\xe9,a\n2,caf\xc3\xa9,\xff\n3,x,b\n", columns=None)
    assert parsed.posts["caption"].to_pylist() == ["café", "x"]  # bytes of other columns cost nothing
    [reject] = parsed.rejects.to_pylist()
    assert (reject["row"], reject["reason"]) == (
        1,
        "the row is not UTF-8: name the encoding of the file (--encoding), for example cp1252",
    )


def test_a_quote_that_is_never_closed_is_named(read_bytes):
    rows = [f"{number},{quote}text {number}" for number in range(2000) for quote in ('"' if number == 11 else "",)]
    with pytest.raises(SourceError, match=r"folder/file has a quote that is never closed, in or near line 13: "):
        read_bytes("csv", "post_id,caption\n" + "\n".join(rows))


def test_a_lone_quote_within_a_value_is_fine(read_bytes):
    parsed = read_bytes("csv", 'post_id,caption\n1,the 5" screen\n2,d\n')
    assert parsed.posts["caption"].to_pylist() == ['the 5" screen', "d"]


def test_quotes_over_several_lines_are_fine(read_bytes):
    parsed = read_bytes("csv", 'post_id,caption\n1,"a\n""b""\nc"\n2,d\n')
    assert parsed.posts["caption"].to_pylist() == ['a\n"b"\nc', "d"]


def test_titles_with_blanks_and_words_for_nothing(read_bytes):
    [post] = read_bytes("csv", "post_id, views, caption\n71, 1000, hi\n").posts.to_pylist()
    assert (post["post_id"], post["views"], post["caption"]) == ("71", 1000, "hi")
    rows = "post_id,author_id,sound_id,views,hashtags\n" + "\n".join(f"p{n},{{0}},{{0}},{n},{{0}}" for n in range(20))
    words = [read_bytes("csv", rows.format(word)).posts for word in ("", "nan", "None", "null", "[]")]
    assert all(posts.equals(words[0]) for posts in words)
    assert words[0]["author_id"].null_count == words[0]["sound_id"].null_count == 20


@pytest.mark.parametrize(
    "text",
    [
        '[{"id":"229207","name":"fyp","title":""},{"id":"1","name":"dance"}]',
        '["fyp","dance"]',
        "['fyp', 'dance']",
        "fyp dance",
        "fyp,dance",
        "#fyp#dance",
        "{fyp,dance}",
        '{"fyp","dance"}',
        "[{'id': '1', 'name': 'fyp'}, {'name': 'dance'}]",
        "fyp/dance",
        "fyp\uff0cdance",
        "fyp، dance",
        "#FYP #dance #fyp",
    ],
)
def test_hashtags_in_any_notation(read_bytes, text):
    value = text.replace('"', '""')
    posts = read_bytes("csv", f'post_id,hashtags\n71,"{value}"\n').posts
    assert posts["hashtags"].to_pylist() == [["fyp", "dance"]]


def test_a_file_with_a_header_alone_has_no_rows(read_bytes):
    assert list(read_as("csv", "f", lambda _: io.BytesIO(b"post_id,views\n"))) == []


@pytest.mark.parametrize("content", [b"", b"\n\n"])
def test_what_is_no_csv_is_an_error(read_bytes, content):
    with pytest.raises(SourceError, match="is not CSV"):
        read_bytes("csv", content)


def test_titles_in_another_encoding_are_refused_until_it_is_named(read_bytes):
    content = "post_id;légende\n1;é\n".encode("latin-1")
    with pytest.raises(SourceError, match="is not UTF-8: name its encoding"):
        read_bytes("csv", content)
    columns = {"post_id": "post_id", "caption": "légende"}
    assert read_bytes("csv", content, columns=columns, encoding="latin-1").posts["caption"].to_pylist() == ["é"]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig", "utf-8"])
def test_a_byte_order_mark_tells_the_encoding(read_bytes, encoding):
    assert read_bytes("csv", "post_id,caption\n1,é\n".encode(encoding)).posts["caption"].to_pylist() == ["é"]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("above", ["", "Report of May\n\n", '"a, b"\nsecond line\n', "Report|May\n", "Report||||\n"])
def test_delimiters_and_lines_above_the_titles_are_recognised(read_bytes, delimiter, above):
    rows = [["post_id", "views", "caption", "likes", "shares"], ["1", "2", "x, y; z", "", ""]]
    rows += [["2", "3", "w", "", ""], ["3", "oops"]]
    lines = [delimiter.join(f'"{value}"' for value in row) for row in rows]
    parsed = read_bytes("csv", above.replace("|", delimiter) + "\n".join(lines))
    assert parsed.posts["caption"].to_pylist() == ["x, y; z", "w"]
    assert parsed.rejects["row"].to_pylist() == [3]


def test_a_file_without_titles_needs_a_map_that_says_so(read_bytes):
    content = "7106594312292453001,12\n7106594312292453002,13\nx\n"
    with pytest.raises(SourceError, match="header: false"):
        read_bytes("csv", content)
    parsed = read_bytes("csv", content, columns={"header": False, "post_id": "1", "views": "2"})
    assert parsed.posts["views"].to_pylist() == [12, 13]
    assert parsed.rejects["row"].to_pylist() == [3]


@pytest.mark.parametrize(
    ("uri", "resolved"),
    [
        ("videos/x.mp4", "s3://bucket/base/videos/x.mp4"),
        ("./x.mp4", "s3://bucket/base/x.mp4"),
        ("/data/x.mp4", "/data/x.mp4"),
        ("s3://other/x.mp4", "s3://other/x.mp4"),
        ("https://cdn/x.mp4", "https://cdn/x.mp4"),
        ("", None),
    ],
)
def test_a_relative_video_is_beside_the_file(read_bytes, uri, resolved):
    parsed = read_bytes("csv", f"post_id,video_uri\n1,{uri}\n", base_uri="s3://bucket/base")
    assert parsed.posts["video_uri"].to_pylist() == [resolved]


def test_a_rounded_author_is_unknown_and_a_rounded_post_rejected(read_bytes):
    parsed = read_bytes("csv", "post_id,author_id\n1,7.5e+18\n7.5e+18,1\nnan,2\n,3\n")
    assert parsed.posts["author_id"].to_pylist() == [None]
    assert [reason.split(":")[0] for reason in parsed.rejects["reason"].to_pylist()] == ["post_id"] * 3


def test_a_hundred_thousand_rows():
    row = '{},user{},{}.5K,"{},234",2025-05-21 09:44:45,00:31,"a caption, with #fyp and #viral"'
    rows = "\n".join(row.format(7_500_000_000_000_000_000 + n, n % 5000, n % 900, n % 900 + 1) for n in range(100_000))
    content = ("post_id,author_id,views,likes,posted_at,duration_seconds,caption\n" + rows).encode()
    batches = list(read_as("csv", "f", lambda _: io.BytesIO(content)))
    assert [batch.rows for batch in batches] == [50_000, 50_000]
    assert pc.sum(batches[0].posts["likes"]).as_py() == sum((n % 900 + 1) * 1000 + 234 for n in range(50_000))
