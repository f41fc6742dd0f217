"""Files of scraped data wherever they lie and whatever they are called."""

from __future__ import annotations

import gzip
import json
import lzma
import os
from pathlib import Path

import pytest

from jobs import ingest
from jobs.ingesting import files
from jobs.ingesting.files import find_files, group_files
from jobs.ingesting.source import IngestSource
from viral.errors import SourceError
from viral.sources import ReadSettings
from viral.storage.store import Store
from viral.tables.places import posts_table, rejects_table


def posts(store: Store) -> dict[str, str | None]:
    """Name of each post's video."""
    rows = posts_table(store).read(columns=["post_id", "video_uri"]).to_pylist()
    return {row["post_id"]: row["video_uri"] and Path(row["video_uri"]).name for row in rows}


def info(post: str, **more: object) -> str:
    return json.dumps({"id": post, "view_count": 3, "ext": "mp4", **more})


@pytest.mark.parametrize("by", ["folder", "file", "s3"])
def test_which_video_is_chosen(ray_session: None, folder_store: Store, tmp_path: Path, s3_root: str, by: str) -> None:
    folder = tmp_path / "scraped"
    folder.mkdir()
    beside = {
        "a": ["a.mp4", "a.webm"],  # as it says
        "b [x]": ["b [x].MKV", "b [x].webm", "b [x].jpg", "b [x].f137.mp4", "b [x].mp4.part"],  # merged
        "c": [],  # not there (yet)
    }
    for stem, names in beside.items():
        (folder / f"{stem}.info.json").write_text(info(stem))
        for name in names:
            (folder / name).write_bytes(b"video")
    place = str(folder)
    if by == "s3":
        place = f"{s3_root}/scraped here +%20?"
        for path in folder.iterdir():
            Store(s3_root).upload(path, f"scraped here +%20?/{path.name}")
    names = tuple(f"{place}/{stem}.info.json" for stem in beside) if by == "file" else (place,)
    ingest.run(folder_store, IngestSource("yt_dlp", names))
    assert posts(folder_store) == {"a": "a.mp4", "b [x]": "b [x].MKV", "c": "c.mp4"}


def test_a_name_that_is_not_utf8_is_a_reject_and_the_others_are_read(
    ray_session: None, folder_store: Store, tmp_path: Path
) -> None:
    folder = tmp_path / "scraped"
    folder.mkdir()
    (folder / "good é 漢.info.json").write_text(info("good"))
    (folder / "good é 漢.mp4").write_bytes(b"video")
    Path(os.fsdecode(os.fsencode(folder) + b"/bad \xff.info.json")).write_text(info("bad"))
    Path(os.fsdecode(os.fsencode(folder) + b"/bad \xff.mp4")).write_bytes(b"video")
    summary = ingest.run(folder_store, IngestSource("yt_dlp", (str(folder),)))
    assert (summary.rows, summary.posts, summary.rejects) == (2, 1, 1)
    assert posts(folder_store) == {"good": "good é 漢.mp4"}
    [reject] = rejects_table(folder_store).read().to_pylist()
    assert reject["file"].endswith("/bad ?.info.json")
    assert reject["reason"] == "the name of the file is not UTF-8: rename it"


def test_all_forms_of_json_in_a_folder_are_read_and_the_rest_is_named(
    ray_session: None, folder_store: Store, tmp_path: Path
) -> None:
    folder = tmp_path / "scraped"
    folder.mkdir()
    rows = {name: json.dumps({"id": name, "stats": {"playCount": 5}}) for name in "abcdefg"}
    for name, ending in zip(rows, (".json", ".JSON", ".jsonl", ".ndjson", ".jl"), strict=False):
        (folder / f"{name}{ending}").write_text(rows[name])
    (folder / "f.json.gz").write_bytes(gzip.compress(rows["f"].encode()))
    (folder / "g.JSONL.GZ").write_bytes(gzip.compress(f"{rows['g']}\n{rows['a']}\n".encode()))
    (folder / "notes.txt").write_text("mine")
    (folder / "README").write_text("mine")
    (folder / "a.mp4").write_bytes(b"video")
    summary = ingest.run(folder_store, IngestSource("tiktok_api", (str(folder),)))
    assert (summary.files, summary.rows, summary.posts) == (7, 8, 7)
    assert summary.ignored == {".txt": 1, "without a suffix": 1}
    with pytest.raises(
        SourceError, match=r"^no csv file at .*, only .*\.txt.*: name files, or folders with \.csv, \.tsv$"
    ):
        find_files("csv", [str(folder)])


@pytest.mark.parametrize("content", [gzip.compress(b'{"id": "1"}')[:-8], b"no gzip"], ids=["cut", "none"])
def test_a_cut_gzip_file_is_one_line(ray_session: None, folder_store: Store, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.json.gz").write_bytes(content)
    with pytest.raises(SourceError, match=r"a\.json\.gz is no whole compressed file"):
        ingest.run(folder_store, IngestSource("tiktok_api", (str(tmp_path / "a.json.gz"),)))
    assert list(folder_store.objects("posts")) == []


def test_groups_hold_each_file_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "GROUP_BYTES", 100)
    monkeypatch.setattr(files, "GROUP_FILES", 3)
    for number in range(7):
        (tmp_path / f"{number}.csv").write_bytes(b"x" * (10 if number else 500))
    groups = group_files(find_files("csv", [str(tmp_path)]))
    assert [[Path(file).stem for file in group.files] for group in groups] == [["0"], ["1", "2", "3"], ["4", "5", "6"]]


@pytest.mark.parametrize("by", ["folder", "file", "kind", "s3"])
def test_pictures_beside_a_file_of_one_post_are_its_slides(
    ray_session: None, folder_store: Store, tmp_path: Path, s3_root: str, by: str
) -> None:
    folder = tmp_path / "scraped"
    folder.mkdir()
    web = {"display_url": "https://cdn/0"}
    beside = {
        "a_UTC": ("GraphSidecar", ["a_UTC_1.jpg", "a_UTC_2.mp4", "a_UTC_2.jpg", "a_UTC_3.webp"], web),
        "b_UTC": ("GraphImage", ["b_UTC.jpg", "b_UTC.txt"], web),
        "c_UTC": ("GraphVideo", ["c_UTC.mp4", "c_UTC.jpg"], web),  # its picture is the cover
        "d_UTC": ("GraphImage", [], web),
    }
    for number, (stem, (kind, names, more)) in enumerate(beside.items()):
        node = {"id": str(number), "shortcode": "C", "__typename": kind, "taken_at_timestamp": 1654646400, **more}
        content = json.dumps({"node": node, "instaloader": {"version": "4.14", "node_type": "Post"}})
        (folder / f"{stem}.json.xz").write_bytes(lzma.compress(content.encode()))
        for name in names:
            (folder / name).write_bytes(b"media")
    place = str(folder)
    if by == "s3":
        place = f"{s3_root}/grams"
        for path in folder.iterdir():
            Store(s3_root).upload(path, f"grams/{path.name}")
    names = tuple(f"{place}/{stem}.json.xz" for stem in beside) if by == "file" else (place,)
    kind = None if by in ("folder", "file") else "instaloader"
    summary = ingest.run(folder_store, IngestSource(kind, names, settings=ReadSettings(photos=True)))
    assert summary.ignored == ({} if by == "file" else {".txt": 1})
    rows = posts_table(folder_store).read(columns=["video_uri", "slides"]).to_pylist()
    found = [[row["video_uri"], *(row["slides"] or [])] for row in rows]
    assert [[uri and uri.removeprefix(f"{place}/") for uri in uris] for uris in found] == [
        [None, "a_UTC_1.jpg", "a_UTC_2.jpg", "a_UTC_3.webp"],
        [None, "b_UTC.jpg"],
        ["c_UTC.mp4"],
        [None, "https://cdn/0"],
    ]
