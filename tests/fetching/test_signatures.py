"""Signatures of video containers: real files of many kinds, and files that are no video."""

from __future__ import annotations

import pytest

from viral.fetching.signatures import HEAD_BYTES, container_extension


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (b"\0\0\0\x18ftypmp42", "mp4"),
        (b"\0\0\0\x14ftypqt  ", "mov"),
        (b"\0\0\0\x14ftyp3gp5", "3gp"),
        (b"\0\0\0\x14ftypM4A ", None),
        (b"\0\0\0\x14ftypavif", None),
        (b"\0\0\0\x18stypmsdh", "mp4"),
        (b"\0\0\0\x08wide\0\0\0\0mdat", "mov"),
        (b"\x1aE\xdf\xa3\x01\0\0\0\0\0\0\x1fB\x86\x81\x01B\x82\x84webm", "webm"),
        (b"\x1aE\xdf\xa3\x01\0\0\0\0\0\0\x23B\x86\x81\x01B\x82\x88matroska", "mkv"),
        (b"RIFF\0\0\0\0AVI LIST", "avi"),
        (b"RIFF\0\0\0\0WAVEfmt ", None),
        (b"FLV\x01\x05", "flv"),
        (b"\0\0\x01\xba\x44", "mpg"),
        ((b"G" + bytes(187)) * 2, "ts"),
        (b"G" + bytes(400), None),
        (b"<!DOCTYPE html>", None),
        (b'{"error": 1}', None),
        (b"\xff\xd8\xff\xe0\0\x10JFIF", None),
        (b"", None),
    ],
)
def test_first_bytes(head, kind):
    assert container_extension(head) == kind


def test_every_real_video_is_known(shared_data):
    extensions = {
        ".mp4": "mp4",
        ".mkv": "mkv",
        ".avi": "avi",
        ".3gp": "3gp",
        ".flv": "flv",
        ".mov": "mov",
        ".webm": "webm",
    }
    videos = [path for path in shared_data.rglob("*") if path.suffix in extensions and path.stat().st_size]
    videos = [path for path in videos if "trouble" not in path.parts]  # damaged or misnamed on purpose
    assert len(videos) > 100
    assert {path.name: container_extension(_head(path)) for path in videos} == {
        path.name: extensions[path.suffix] for path in videos
    }


def _head(path):
    with path.open("rb") as file:
        return file.read(HEAD_BYTES)
