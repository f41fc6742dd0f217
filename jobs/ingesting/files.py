"""Files of scraped data: found by name or in folders, and grouped into tasks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path, PurePosixPath

from viral.errors import SourceError, StorageError
from viral.sources import YT_DLP
from viral.sources.beside import MEDIA_SUFFIXES, VIDEO_SUFFIXES, in_order, owner_of, stem_of
from viral.sources.opened import JSON, SUFFIXES, plain_name
from viral.sources.reading import is_info_file
from viral.storage import s3
from viral.storage.store import Store, one_line

GROUP_BYTES, GROUP_FILES = 16 << 20, 1000  # of scraped data that a task parses: some seconds of work
_INSTALOADER = "instaloader"


@dataclass
class FoundFiles:
    """Files to read with their sizes in bytes, the videos and pictures beside those of one post, the others by suffix.

    `named` are the files that the user named, not those of a folder.
    """

    files: list[tuple[str, int]] = field(default_factory=list)
    named: set[str] = field(default_factory=set)
    beside: dict[str, list[str]] = field(default_factory=dict)
    ignored: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True)
class FileGroup:
    """Files that one task parses, the videos and pictures beside them, and those that the user named."""

    number: int
    files: tuple[str, ...]
    beside: dict[str, list[str]]
    named: frozenset[str] = frozenset()


def suffixes_of(kind: str | None) -> tuple[str, ...]:
    """Suffixes of the files to read in a folder; in any case, with that of a compression or without."""
    if kind == YT_DLP:
        return (".info.json",)
    # Where each file is recognised by its form, any known suffix may hold posts.
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
    found.beside = {file: in_order(media) for file, media in found.beside.items()}
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
            {file: found.beside[file] for file in group if file in found.beside},
            frozenset(found.named.intersection(group)),
        )
        for number, group in enumerate(groups)
    ]


def _add_local(found: FoundFiles, kind: str | None, path: Path) -> None:
    if path.is_file():
        found.named.add(str(path))
        # Only a JSON file describes one post, with its media beside it under the same name.
        beside = _local_beside(stem_of(str(path))) if plain_name(str(path)).endswith(".json") else []
        _add(found, [(str(path), path.stat().st_size)], beside)
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
        one_post = kind in (YT_DLP, _INSTALOADER) or is_info_file(name)  # other names may begin a thousand keys
        beside = Store(folder).objects("", stem_of(name)) if one_post else ()
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
    # What belongs to no post is counted by suffix, so that the user sees what was left out.
    rest = _add(found, files, others)
    found.ignored.update(_suffix(file) for file in rest if not file.lower().endswith(VIDEO_SUFFIXES))


def _add(found: FoundFiles, files: Iterable[tuple[str, int]], others: Iterable[str]) -> list[str]:
    """Add files, and those of the others that lie beside them; return the rest."""
    found.files += files
    # A video belongs to the JSON file of the same name in the same folder.
    by_stem = {stem_of(file): file for file, _ in files if plain_name(file).endswith(SUFFIXES[JSON])}
    rest: list[str] = []
    for other in others:
        file = owner_of(other, by_stem)
        (found.beside.setdefault(file, []) if file else rest).append(other)
    return rest


def _local_beside(stem: str) -> list[str]:
    """Videos and pictures beside a file, not by a listing of its folder: many files may be named."""
    found = _existing(stem)
    # Slides are numbered from 1 without gaps: the first missing number ends the set.
    for number in count(1):
        if not (slides := _existing(f"{stem}_{number}")):
            break
        found += slides
    return found


def _existing(stem: str) -> list[str]:
    names = (f"{stem}{each}" for suffix in MEDIA_SUFFIXES for each in (suffix, suffix.upper()))
    return [name for name in names if Path(name).is_file()]


def _suffix(file: str) -> str:
    return PurePosixPath(file).suffix.encode(errors="replace").decode() or "without a suffix"
