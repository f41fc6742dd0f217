"""Files of scraped data: found by name or in folders, and grouped into tasks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from viral.errors import SourceError, StorageError
from viral.sources import YT_DLP
from viral.sources.opened import JSON, SUFFIXES, plain_name
from viral.sources.reading import is_info_file
from viral.sources.yt_dlp import stem_of
from viral.storage import s3
from viral.storage.store import Store, one_line

GROUP_BYTES, GROUP_FILES = 16 << 20, 1000  # of scraped data that a task parses: some seconds of work
_INSTALOADER = "instaloader"
# Videos as yt-dlp writes them, the usual ones first.
_VIDEO_SUFFIXES = (".mp4", ".mkv", ".webm", ".mov", ".m4v", ".avi", ".flv", ".3gp", ".ts")


@dataclass
class FoundFiles:
    """Files to read with their sizes in bytes, the videos beside info files, and the other files by suffix.

    `named` are the files that the user named, not those of a folder.
    """

    files: list[tuple[str, int]] = field(default_factory=list)
    named: set[str] = field(default_factory=set)
    videos: dict[str, list[str]] = field(default_factory=dict)
    ignored: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True)
class FileGroup:
    """Files that one task parses, the videos beside them, and those that the user named."""

    number: int
    files: tuple[str, ...]
    videos: dict[str, list[str]]
    named: frozenset[str] = frozenset()


def suffixes_of(kind: str | None) -> tuple[str, ...]:
    """Suffixes of the files to read in a folder; in any case, with that of a compression or without."""
    if kind == YT_DLP:
        return (".info.json",)
    every = tuple(suffix for suffixes in SUFFIXES.values() for suffix in suffixes)
    return SUFFIXES.get(kind or "", every)


def find_files(kind: str | None, names: Sequence[str]) -> FoundFiles:
    """Find the files of a source by path or `s3://` URI; in folders, those with the suffixes of its kind.

    Raises:
        SourceError: there is no such file or folder, or none of the kind.
    """
    found = FoundFiles()
    for name in names:
        if name.startswith("s3://"):
            _add_s3(found, kind, name.rstrip("/"))
        else:
            _add_local(found, kind, Path(name).expanduser().absolute())
    # Of several videos beside one info file, the most usual kind comes first.
    for videos in found.videos.values():
        videos.sort(key=lambda video: _VIDEO_SUFFIXES.index(PurePosixPath(video).suffix.lower()))
    if not found.files:
        other = f", only {', '.join(f'{count} {suffix}' for suffix, count in found.ignored.items())}"
        raise SourceError(
            f"no {kind or 'readable'} file at {', '.join(names)}{other if found.ignored else ''}: "
            f"name files, or folders with {', '.join(suffixes_of(kind))}"
        )
    return found


def group_files(found: FoundFiles) -> list[FileGroup]:
    """Group files into tasks: one per small file would cost more than its parsing."""
    groups: list[list[str]] = []
    # Full, so that the first file opens the first group.
    size = GROUP_BYTES
    for file, file_bytes in found.files:
        if size + file_bytes > GROUP_BYTES or len(groups[-1]) == GROUP_FILES:
            groups.append([])
            size = 0
        groups[-1].append(file)
        size += file_bytes
    return [
        FileGroup(
            number,
            tuple(group),
            {file: found.videos[file] for file in group if file in found.videos},
            frozenset(found.named.intersection(group)),
        )
        for number, group in enumerate(groups)
    ]


def _add_local(found: FoundFiles, kind: str | None, path: Path) -> None:
    if path.is_file():
        stem = stem_of(str(path))
        suffixes = (
            [each for suffix in _VIDEO_SUFFIXES for each in (suffix, suffix.upper())]
            if _beside(kind, str(path))
            else []
        )
        beside = [f"{stem}{suffix}" for suffix in suffixes]  # not by a listing: many files may be named
        found.named.add(str(path))
        _add(found, [(str(path), path.stat().st_size)], [video for video in beside if Path(video).is_file()])
    elif path.is_dir():
        _add_folder(found, kind, str(path))
    else:
        raise SourceError(f"there is no file or folder {path}")


def _add_s3(found: FoundFiles, kind: str | None, uri: str) -> None:
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        file = s3.head(uri) if s3.split_uri(uri)[1] else None  # a bucket has no key
        if file is None:
            _add_folder(found, kind, uri)
            return
        folder, _, name = uri.rpartition("/")
        beside = Store(folder).objects("", stem_of(name)) if _beside(kind, name) else ()
        found.named.add(uri)
        _add(found, [(uri, file.size)], [f"{folder}/{info.key}" for info in beside])
    except (BotoCoreError, ClientError, StorageError) as error:
        raise SourceError(f"cannot list {uri}: {one_line(error)}") from error


def _add_folder(found: FoundFiles, kind: str | None, folder: str) -> None:
    store = Store(folder)
    infos = sorted((store.uri(info.key), info.size) for info in store.objects(""))
    files = [(file, size) for file, size in infos if plain_name(file).endswith(suffixes_of(kind))]
    names = {file for file, _ in files}
    others = [file for file, _ in infos if file not in names]
    found.ignored.update(_suffix(file) for file in others if not file.lower().endswith(_VIDEO_SUFFIXES))
    _add(found, files, others)


def _add(found: FoundFiles, files: Iterable[tuple[str, int]], others: Iterable[str]) -> None:
    """Add files, and those of the others that are the videos of info files."""
    found.files += files
    # A video belongs to the JSON file of the same name in the same folder.
    by_stem = {stem_of(file): file for file, _ in files if plain_name(file).endswith(SUFFIXES[JSON])}
    for video in others:
        suffix = PurePosixPath(video).suffix
        file = by_stem.get(video.removesuffix(suffix)) if suffix.lower() in _VIDEO_SUFFIXES else None
        if file:
            found.videos.setdefault(file, []).append(video)


def _beside(kind: str | None, name: str) -> bool:
    """Whether a video may lie beside a file."""
    return kind in (YT_DLP, _INSTALOADER) or is_info_file(name)


def _suffix(file: str) -> str:
    return PurePosixPath(file).suffix.encode(errors="replace").decode() or "without a suffix"
