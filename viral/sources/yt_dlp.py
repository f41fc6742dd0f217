"""Videos beside the metadata files of yt-dlp and its like, which hold one post each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath

import pyarrow as pa

from viral.sources.expressions import Path
from viral.sources.opened import COMPRESSED
from viral.sources.rows import JsonRows

_VIDEO_FILE, _EXTENSION = Path("video_file"), Path("ext")


def video_uris(rows: JsonRows, beside: Mapping[str, Sequence[str]]) -> pa.Array:
    """Return the video of each file: the one that it names, or one that lies beside it, or null."""
    names, extensions = rows.objects(_VIDEO_FILE), rows.objects(_EXTENSION)
    uris = [
        _video_uri(file, name, extension, beside.get(file, ()))
        for file, name, extension in zip(rows.files, names, extensions, strict=True)
    ]
    return pa.array(uris, pa.string())


def _video_uri(file: str, video_file: object, extension: object, beside: Sequence[str]) -> str | None:
    folder, slash, _ = file.rpartition("/")
    if video_file:  # written by `viral fetch`: info files may share a video
        return f"{folder}{slash}{PurePosixPath(str(video_file)).name}"
    named = f"{stem_of(file)}.{extension}" if extension else None
    # yt-dlp may merge or remux into another container than the one that the file names.
    return named if named in beside or not beside else beside[0]


def stem_of(file: str) -> str:
    """Path of a metadata file without its endings; the video beside it has the same."""
    for suffix in (*COMPRESSED, ".json", ".info"):
        file = file.removesuffix(suffix)
    return file
