"""One root, `s3://bucket/prefix` or a folder, through the same calls."""

from __future__ import annotations

import errno
import functools
import io
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, cast

import pyarrow as pa
import pyarrow.fs as pafs

from viral.errors import RootError, StorageError, ViralError
from viral.storage import local, s3
from viral.storage.s3 import ObjectInfo


class Store:
    """Objects below one root, by key. Cheap to make and to pickle; connections are opened on first use.

    A write appears whole or not at all: in a folder it is written aside and renamed, on S3 an object appears when its
    upload completes.
    """

    def __init__(self, root: str | os.PathLike[str]) -> None:
        text = os.fspath(root)
        self.on_s3 = text.startswith("s3://")
        self.root = text.rstrip("/") if self.on_s3 else str(Path(text).expanduser().absolute())

    @classmethod
    def open(cls, root: str | os.PathLike[str]) -> Store:
        """The store at `root`.

        Raises:
            RootError: there is no such folder or bucket, or it is not ours to use.
        """
        store = cls(root)
        if store.on_s3:
            _check_bucket(store.root)
        else:
            _check_folder(os.fspath(root), Path(store.root))
        return store

    @functools.cached_property
    def filesystem(self) -> pafs.FileSystem:
        """The root's file system, as pyarrow and Ray take it."""
        return pafs.FileSystem.from_uri(self.root)[0] if self.on_s3 else pafs.LocalFileSystem()

    @property
    def base(self) -> str:
        """The root as a path of `filesystem`."""
        return self.root.removeprefix("s3://")

    def __reduce__(self) -> tuple[type[Store], tuple[str]]:
        return Store, (self.root,)

    def uri(self, key: str) -> str:
        """The address of the object at `key`."""
        return f"{self.root}/{key}" if key else self.root

    def path(self, key: str) -> str:
        """The path of the object at `key` on `filesystem`."""
        return f"{self.base}/{key}" if key else self.base

    def read(self, key: str) -> bytes:
        """The object at `key`, whole.

        Raises:
            FileNotFoundError: there is no such object.
            StorageError: the storage refused or failed.
        """
        with failures_of(self.uri(key)):
            return s3.get(self.uri(key)) if self.on_s3 else Path(self.path(key)).read_bytes()

    def input(self, key: str) -> pa.NativeFile:
        """The object at `key`, opened for random access."""
        with failures_of(self.uri(key)):
            return self.filesystem.open_input_file(self.path(key))

    def exists(self, key: str) -> bool:
        """Whether there is an object at `key`."""
        with failures_of(self.uri(key)):
            return bool(self.filesystem.get_file_info(self.path(key)).type == pafs.FileType.File)

    def write(self, key: str, data: bytes | pa.Buffer) -> None:
        """Put `data` at `key`, over what was there; whole or not at all.

        Raises:
            StorageError: no space, no access, no answer.
        """
        final = self.path(key)
        with failures_of(self.uri(key)):
            if self.on_s3:
                with self.filesystem.open_output_stream(final) as stream:
                    stream.write(data)
            else:
                with local.aside(Path(final)) as temporary:
                    temporary.write_bytes(data)

    def write_new(self, key: str, data: bytes) -> bool:
        """Put `data` at `key` unless something is there already; says whether it was put."""
        with failures_of(self.uri(key)):
            if self.on_s3:
                return s3.put_new(self.uri(key), data)
            return local.write_new(Path(self.path(key)), data)

    def upload(self, file: Path, key: str) -> None:
        """Copy a local file to `key`, in parts where it is large; whole or not at all."""
        with failures_of(self.uri(key)):
            if self.on_s3:
                s3.upload(file, self.uri(key))
            else:
                with local.aside(Path(self.path(key))) as temporary:
                    shutil.copyfile(file, temporary)

    def download(self, key: str, file: Path) -> None:
        """Copy the object at `key` to a local file.

        Raises:
            FileNotFoundError: there is no such object.
            StorageError: the storage refused or failed.
        """
        with failures_of(self.uri(key)):
            if self.on_s3:
                s3.download(self.uri(key), file)
            else:
                shutil.copyfile(self.path(key), file)

    def objects(self, prefix: str, beginning: str = "") -> Iterator[ObjectInfo]:
        """Every object below `prefix`, with keys from the root; none where there is no such prefix.

        Args:
            prefix: the folder.
            beginning: only those whose name in that folder begins so; a bucket is asked for no others.
        """
        with failures_of(self.uri(prefix)):
            if self.on_s3:
                skip = len(s3.split(self.root)[1]) + 1 if s3.split(self.root)[1] else 0
                for info in s3.listing(self.uri(prefix), beginning):
                    yield ObjectInfo(info.key[skip:], info.size, info.etag)
            else:
                start = f"{prefix}/{beginning}" if prefix else beginning
                yield from (info for info in local.walk(Path(self.root), prefix) if info.key.startswith(start))

    def stems(self, prefix: str, beginning: str, delimiter: str) -> list[str]:
        """How the names in a folder that begin so go on up to a delimiter, each once; S3 lists no object for it."""
        if self.on_s3:
            with failures_of(self.uri(prefix)):
                return s3.stems(self.uri(prefix), beginning, delimiter)
        names = (info.key.removeprefix(f"{prefix}/") for info in self.objects(prefix, beginning))
        ends = ((name, name.find(delimiter, len(beginning))) for name in names)
        return sorted({name[: end + 1] for name, end in ends if end >= 0})

    def delete(self, keys: list[str]) -> None:
        """Delete the objects at `keys`; those that are gone already are no error."""
        with failures_of(self.root):
            if self.on_s3:
                s3.delete([self.uri(key) for key in keys])
            else:
                for key in keys:
                    Path(self.path(key)).unlink(missing_ok=True)

    def delete_below(self, prefix: str) -> None:
        """Delete every object below `prefix`."""
        if self.on_s3:
            self.delete([info.key for info in self.objects(prefix)])
        elif Path(self.path(prefix)).is_dir():
            with failures_of(self.uri(prefix)):
                local.delete(Path(self.path(prefix)))

    def presigned(self, key: str, seconds: int) -> str:
        """An address that reads the object without credentials for that long; of a folder, its `file://` address."""
        with failures_of(self.uri(key)):
            return s3.presigned(self.uri(key), seconds) if self.on_s3 else Path(self.path(key)).as_uri()


@contextmanager
def failures_of(uri: str) -> Iterator[None]:
    """Turn what a storage raises into a StorageError of one line; a missing file stays FileNotFoundError."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except (FileNotFoundError, ViralError):
        raise
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise StorageError(
                f"no space left on the device while writing {uri}: free some and run it again"
            ) from error
        raise StorageError(f"{uri}: {one_line(error)}") from error
    except (BotoCoreError, ClientError) as error:
        raise StorageError(f"{uri}: {one_line(error)}") from error


def one_line(error: BaseException) -> str:
    """An error's message on one line, at most 300 characters."""
    return " ".join(str(error).split())[:300] or type(error).__name__


def _check_folder(given: str, root: Path) -> None:
    if "://" in given:
        raise RootError(f"the root {given} is neither a folder nor s3://bucket/prefix: correct --root")
    if root.exists() and not root.is_dir():
        raise RootError(f"the root {root} is not a folder: correct --root")
    if not root.is_dir():
        raise RootError(f"the root {root} does not exist: create it (mkdir -p) or correct --root")


def _check_bucket(root: str) -> None:
    from botocore.exceptions import BotoCoreError, ClientError

    bucket, _ = s3.split(root)
    try:
        s3.client().head_bucket(Bucket=bucket)
    except (BotoCoreError, ClientError) as error:
        code = s3.code(error)
        if code in s3.MISSING:
            raise RootError(f"the root {root} does not exist: there is no bucket {bucket}; create it") from error
        if code in s3.DENIED:
            raise RootError(f"the root {root} is not accessible with the credentials in the environment") from error
        raise RootError(f"the root {root} cannot be reached: {one_line(error)}") from error


def read_json(store: Store, key: str) -> dict[str, Any] | None:
    """The JSON object at `key`, or None where there is none."""
    import json

    try:
        return cast("dict[str, Any]", json.loads(store.read(key)))
    except FileNotFoundError:
        return None


def open_any(uri: str) -> BinaryIO:
    """Any file for reading, by path or `s3://` address: the `open_file` that sources take.

    Raises:
        FileNotFoundError: there is none.
        StorageError: the storage refused or failed.
    """
    if not uri.startswith("s3://"):
        return Path(uri).open("rb")
    place, _, name = uri.rpartition("/")
    return io.BufferedReader(cast("io.RawIOBase", Store(place).input(name)), 1 << 20)  # pyarrow's has no lines
