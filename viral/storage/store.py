"""`Store`: the objects below a root, which is `s3://bucket/prefix` or a local folder."""

from __future__ import annotations

import errno
import functools
import gzip
import io
import json
import lzma
import os
import re
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

_ERRNO = re.compile(r"^\[Errno -?\d+\] ")  # before the message of an OSError
_DENIED = re.compile("ACCESS_DENIED|HTTP status 40[13]")  # in errors of pyarrow, which have no code


class Store:
    """Objects below one root, by key. Cheap to create and to pickle; connections open on first use.

    Writes are atomic: in a folder, a temporary file is renamed; on S3, an object appears once its upload is complete.
    """

    def __init__(self, root: str | os.PathLike[str]) -> None:
        text = os.fspath(root)
        self.on_s3 = text.startswith("s3://")
        self.root = text.rstrip("/") if self.on_s3 else str(Path(text).expanduser().absolute())

    @classmethod
    def open(cls, root: str | os.PathLike[str]) -> Store:
        """Open the store at `root`.

        Raises:
            RootError: there is no such folder or bucket, or it is not accessible.
        """
        store = cls(root)
        if store.on_s3:
            _check_bucket(store.root)
        else:
            _check_folder(os.fspath(root), Path(store.root))
        return store

    @functools.cached_property
    def filesystem(self) -> pafs.FileSystem:
        """The root's file system, for pyarrow and Ray."""
        # Of the root's URI only the bucket: a key may have characters that mean something else in a URI.
        return (
            pafs.FileSystem.from_uri(f"s3://{s3.split_uri(self.root)[0]}")[0] if self.on_s3 else pafs.LocalFileSystem()
        )

    @property
    def base(self) -> str:
        """The root as a path on `filesystem`."""
        return self.root.removeprefix("s3://")

    def __reduce__(self) -> tuple[type[Store], tuple[str]]:
        return Store, (self.root,)

    def uri(self, key: str) -> str:
        """Return the URI of the object at `key`."""
        return f"{self.root}/{key}" if key else self.root

    def path(self, key: str) -> str:
        """Return the path of the object at `key` on `filesystem`."""
        return f"{self.base}/{key}" if key else self.base

    def read(self, key: str) -> bytes:
        """Read the whole object at `key`.

        Raises:
            FileNotFoundError: there is no such object.
            StorageError: the storage denied the request or failed.
        """
        with storage_errors(self.uri(key)):
            return s3.get(self.uri(key)) if self.on_s3 else Path(self.path(key)).read_bytes()

    def open_input(self, key: str) -> pa.NativeFile:
        """Open the object at `key` for random access."""
        with storage_errors(self.uri(key)):
            return self.filesystem.open_input_file(self.path(key))

    def exists(self, key: str) -> bool:
        """Whether there is an object at `key`."""
        with storage_errors(self.uri(key)):
            return bool(self.filesystem.get_file_info(self.path(key)).type == pafs.FileType.File)

    def write(self, key: str, data: bytes | pa.Buffer) -> None:
        """Write `data` to `key`, replacing any object there.

        Raises:
            StorageError: no space, no access, or no response.
        """
        final = self.path(key)
        with storage_errors(self.uri(key)):
            if self.on_s3:
                # An upload that breaks off leaves no object: S3 shows it only once it is complete.
                with self.filesystem.open_output_stream(final) as stream:
                    stream.write(data)
            else:
                with local.atomic_write(Path(final)) as temporary:
                    temporary.write_bytes(data)

    def write_new(self, key: str, data: bytes) -> bool:
        """Write `data` to `key` unless an object exists there; return whether it was written."""
        with storage_errors(self.uri(key)):
            if self.on_s3:
                return s3.put_new(self.uri(key), data)
            return local.write_new(Path(self.path(key)), data)

    def upload(self, file: Path, key: str) -> None:
        """Copy a local file to `key`; on S3, large files as a multipart upload."""
        with storage_errors(self.uri(key)):
            if self.on_s3:
                s3.upload(file, self.uri(key))
            else:
                with local.atomic_write(Path(self.path(key))) as temporary:
                    shutil.copyfile(file, temporary)

    def download(self, key: str, file: Path) -> None:
        """Copy the object at `key` to a local file.

        Raises:
            FileNotFoundError: there is no such object.
            StorageError: the storage denied the request or failed.
        """
        with storage_errors(self.uri(key)):
            if self.on_s3:
                s3.download(self.uri(key), file)
            else:
                shutil.copyfile(self.path(key), file)

    def objects(self, prefix: str, name_prefix: str = "") -> Iterator[ObjectInfo]:
        """List all objects below `prefix`, with keys relative to the root.

        Args:
            prefix: a folder, which need not exist.
            name_prefix: list only objects whose names in that folder start with this; S3 then lists no others.
        """
        with storage_errors(self.uri(prefix)):
            if self.on_s3:
                # Keys of S3 begin with the prefix of the root.
                skip = len(s3.split_uri(self.root)[1]) + 1 if s3.split_uri(self.root)[1] else 0
                for info in s3.list_objects(self.uri(prefix), name_prefix):
                    yield ObjectInfo(info.key[skip:], info.size, info.etag)
            else:
                start = f"{prefix}/{name_prefix}" if prefix else name_prefix
                yield from (info for info in local.list_files(Path(self.root), prefix) if info.key.startswith(start))

    def common_prefixes(self, prefix: str, name_prefix: str, delimiter: str) -> list[str]:
        """List the distinct names in a folder, cut after the first `delimiter` behind `name_prefix`."""
        if self.on_s3:
            with storage_errors(self.uri(prefix)):
                return s3.common_prefixes(self.uri(prefix), name_prefix, delimiter)
        names = (info.key.removeprefix(f"{prefix}/") for info in self.objects(prefix, name_prefix))
        ends = ((name, name.find(delimiter, len(name_prefix))) for name in names)
        return sorted({name[: end + 1] for name, end in ends if end >= 0})

    def delete(self, keys: list[str]) -> None:
        """Delete the objects at `keys`; ignore missing objects."""
        with storage_errors(self.root):
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
            with storage_errors(self.uri(prefix)):
                local.delete(Path(self.path(prefix)))


@contextmanager
def storage_errors(uri: str) -> Iterator[None]:
    """Convert storage exceptions into a one-line StorageError; FileNotFoundError passes through."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    # A missing object is often no error for the caller, and our own errors are worded already.
    except (FileNotFoundError, ViralError):
        raise
    except (OSError, BotoCoreError, ClientError) as error:
        if isinstance(error, OSError) and error.errno == errno.ENOSPC:
            message = f"no space left on the device while writing {uri}: free some space and run the command again"
        elif s3.error_code(error) in s3.DENIED_CODES or _DENIED.search(str(error)):
            message = (
                f"{uri} is denied ({one_line(error)}): renew the credentials or correct the permissions, "
                "then run the same command again"
            )
        else:
            message = f"{uri}: {one_line(error)}"
        raise StorageError(message) from error


def one_line(error: BaseException) -> str:
    """Return an error's message on one line of at most 300 characters, which fits a table cell, without an errno."""
    return _ERRNO.sub("", " ".join(str(error).split()))[:300] or type(error).__name__


def _check_folder(argument: str, root: Path) -> None:
    if any("\ud800" <= character <= "\udfff" for character in argument):  # bytes that the locale cannot decode
        raise RootError(f"the name of the root {argument!a} is not UTF-8: rename it, or set LC_ALL=C.UTF-8")
    if "://" in argument:
        raise RootError(f"the root {argument} is neither a folder nor s3://bucket/prefix: correct --root")
    if not root.exists():
        raise RootError(f"the root {root} does not exist: create it (mkdir -p) or correct --root")
    if not root.is_dir():
        raise RootError(f"the root {root} is not a folder: correct --root")


def _check_bucket(root: str) -> None:
    from botocore.exceptions import BotoCoreError, ClientError

    bucket, _ = s3.split_uri(root)
    try:
        s3.client().head_bucket(Bucket=bucket)
    except (BotoCoreError, ClientError) as error:
        code = s3.error_code(error)
        if code in s3.MISSING_CODES:
            raise RootError(f"the root {root} does not exist: there is no bucket {bucket}; create it") from error
        if code in s3.DENIED_CODES:
            raise RootError(f"the root {root} is not accessible with the credentials in the environment") from error
        raise RootError(f"the root {root} cannot be reached: {one_line(error)}") from error


def read_json(store: Store, key: str) -> dict[str, Any] | None:
    """Read the JSON object at `key`; None if there is no such object."""
    try:
        return cast("dict[str, Any]", json.loads(store.read(key)))
    except FileNotFoundError:
        return None


def open_uri(uri: str) -> BinaryIO:
    """Open a file for reading by path or `s3://` URI, uncompressed if its name ends with `.gz` or `.xz`.

    The `open_file` argument of sources.

    Raises:
        FileNotFoundError: there is no such file.
        StorageError: the storage denied the request or failed.
    """
    if uri.startswith("s3://"):
        folder, _, name = uri.rpartition("/")
        # The buffer adds iteration over lines, which pyarrow's file lacks; 1 MiB keeps S3 requests few.
        stream: BinaryIO = io.BufferedReader(cast("io.RawIOBase", Store(folder).open_input(name)), 1 << 20)
    else:
        stream = Path(uri).open("rb")  # noqa: SIM115 - the caller closes it
    return _decompress(stream, uri.lower())


def _decompress(stream: BinaryIO, name: str) -> BinaryIO:
    if name.endswith(".gz"):
        return cast("BinaryIO", _Unzipped(stream))
    return cast("BinaryIO", _Unxz(stream)) if name.endswith(".xz") else stream


class _Unzipped(gzip.GzipFile):
    """Content of a gzip file; closing it closes the file, too."""

    def __init__(self, compressed: BinaryIO) -> None:
        super().__init__(fileobj=compressed)
        self._compressed = compressed

    def close(self) -> None:
        """Close the content, then the file below it."""
        super().close()
        self._compressed.close()


class _Unxz(lzma.LZMAFile):
    """Content of an xz file; closing it closes the file, too."""

    def __init__(self, compressed: BinaryIO) -> None:
        super().__init__(compressed)
        self._compressed = compressed

    def close(self) -> None:
        """Close the content, then the file below it."""
        super().close()
        self._compressed.close()
