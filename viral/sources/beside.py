"""Videos and pictures beside the metadata files of yt-dlp, instaloader and their like, which hold one post each."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

import pyarrow as pa

from viral.sources.expressions import Path
from viral.sources.opened import COMPRESSED
from viral.sources.rows import JsonRows

# Videos as yt-dlp writes them, the usual ones first; pictures as instaloader does, which numbers those of a photo set.
VIDEO_SUFFIXES = (".mp4", ".mkv", ".webm", ".mov", ".m4v", ".avi", ".flv", ".3gp", ".ts")
PICTURE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".avif")
MEDIA_SUFFIXES = (*VIDEO_SUFFIXES, *PICTURE_SUFFIXES)
_NUMBERED = re.compile(r"(.+)_(\d{1,3})$", re.DOTALL)
_VIDEO_FILE, _EXTENSION = Path("video_file"), Path("ext")


def stem_of(file: str) -> str:
    """Path of a metadata file without its endings; the video beside it has the same."""
    for suffix in (*COMPRESSED, ".json", ".info"):
        file = file.removesuffix(suffix)
    return file


def owner_of(media: str, files: Mapping[str, str]) -> str | None:
    """The metadata file that a video or a picture lies beside, if any; `files` are by stem."""
    stem, suffix = _split(media)
    # The whole name first: an identifier may itself end with an underscore and digits.
    if suffix not in MEDIA_SUFFIXES or stem in files:
        return files.get(stem) if suffix in MEDIA_SUFFIXES else None
    # Then as one of several pictures: only these are numbered.
    numbered = _NUMBERED.fullmatch(stem) if suffix in PICTURE_SUFFIXES else None
    return files.get(numbered[1]) if numbered else None


def in_order(media: Iterable[str]) -> list[str]:
    """Videos, the usual ones first, then pictures by their number."""
    return sorted(media, key=_rank)


def video_uris(rows: JsonRows, beside: Mapping[str, Sequence[str]]) -> pa.Array:
    """Return the video of each file: the one that it names, or one that lies beside it, or null."""
    names, extensions = rows.objects(_VIDEO_FILE), rows.objects(_EXTENSION)
    uris = [
        _video_uri(file, name, extension, [uri for uri in beside.get(file, ()) if _is_video(uri)])
        for file, name, extension in zip(rows.files, names, extensions, strict=True)
    ]
    return pa.array(uris, pa.string())


def slides(rows: JsonRows, named: Sequence[Any], beside: Mapping[str, Sequence[str]]) -> list[Any]:
    """Return the pictures of each file: those that lie beside it, or else those that it names."""
    pictures = ([uri for uri in beside.get(file, ()) if not _is_video(uri)] for file in rows.files)
    return [found or other for found, other in zip(pictures, named, strict=True)]


def _video_uri(file: str, video_file: object, extension: object, videos: Sequence[str]) -> str | None:
    folder, slash, _ = file.rpartition("/")
    if video_file:  # written by `viral fetch`: info files may share a video
        return f"{folder}{slash}{PurePosixPath(str(video_file)).name}"
    named = f"{stem_of(file)}.{extension}" if extension else None
    # yt-dlp may merge or remux into another container than the one that the file names.
    return named if named in videos or not videos else videos[0]


def _split(file: str) -> tuple[str, str]:
    """Path of a file without its suffix, and the suffix in lower case."""
    suffix = PurePosixPath(file).suffix
    return file.removesuffix(suffix), suffix.lower()


def _is_video(file: str) -> bool:
    return _split(file)[1] in VIDEO_SUFFIXES


def _rank(media: str) -> tuple[int, int]:
    stem, suffix = _split(media)
    if suffix in VIDEO_SUFFIXES:
        return VIDEO_SUFFIXES.index(suffix), 0
    numbered = _NUMBERED.fullmatch(stem)
    return len(VIDEO_SUFFIXES), int(numbered[2]) if numbered else 0
