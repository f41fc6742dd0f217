"""Videos to upload: read in chunks while they are sent, from their start for each attempt."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from viral.client.attempts import Attempts
from viral.errors import AccessDeniedError, ConfigError, EndpointError, MissingObjectError, ReadError

VideoFile = str | os.PathLike[str] | bytes | BinaryIO
"""A video: its path, its bytes, or a file opened for reading bytes, which is sent from its present position."""


@dataclass(frozen=True)
class VideoUpload:
    """A video in a request, with its file name in the form and where it begins in an open file."""

    name: str
    source: VideoFile
    start: int = 0

    @contextmanager
    def open(self, attempts: Attempts) -> Iterator[UploadReader]:
        """Open the video for one attempt.

        Raises:
            EndpointError: the file cannot be opened.
        """
        if isinstance(self.source, bytes):
            yield UploadReader(io.BytesIO(self.source), 0, attempts)
        elif isinstance(self.source, str | os.PathLike):
            with _open(self.source) as file:
                yield UploadReader(file, 0, attempts)
        else:
            yield UploadReader(self.source, self.start, attempts)


class UploadReader:
    """The part of a file from `start` to its end, read by httpx in chunks until the deadline."""

    def __init__(self, file: BinaryIO, start: int, attempts: Attempts) -> None:
        self._file, self._start, self._attempts = file, start, attempts
        self._size = max(0, file.seek(0, os.SEEK_END) - start)
        self.seek(0)

    def tell(self) -> int:
        """Return the position after `start`."""
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move to a position after `start` (`os.SEEK_SET`) or before the end (`os.SEEK_END`)."""
        self._position = offset if whence == os.SEEK_SET else self._size + offset
        self._file.seek(self._start + self._position)
        return self._position

    def read(self, size: int) -> bytes:
        """Read up to `size` bytes.

        Raises:
            EndpointError: the deadline has passed, or the file has become shorter.
        """
        # Checked per chunk: httpx limits each write only, and a slow upload consists of many.
        self._attempts.remaining()
        count = min(size, self._size - self._position)  # a file that grows was announced with its length
        chunk = self._file.read(count)
        if len(chunk) < count:
            raise EndpointError("the file became shorter while it was sent", reason=ReadError.reason)
        self._position += len(chunk)
        return chunk


def video_upload(file: VideoFile, name: str | None = None) -> VideoUpload:
    """Prepare a video for upload; nothing is read yet.

    Args:
        file: the video.
        name: its file name in the form; None: that of the file.

    Raises:
        ConfigError: an open file that has no bytes or cannot be rewound.
    """
    if isinstance(file, bytes):
        return VideoUpload(name or "video", file)
    if isinstance(file, str | os.PathLike):
        return VideoUpload(name or _text_name(file), file)
    if isinstance(file, io.TextIOBase) or not file.seekable():
        raise ConfigError("an open file must give bytes and be seekable: open it with mode 'rb', or send its bytes")
    path = getattr(file, "name", None)
    return VideoUpload(name or (_text_name(path) if isinstance(path, str) else "video"), file, file.tell())


def _text_name(path: str | os.PathLike[str]) -> str:
    """Return the file name of a path, which need not be text, in a form that can be sent."""
    # File names on Linux are bytes; those that are not UTF-8 arrive here as halves of surrogate pairs.
    return Path(path).name.encode(errors="replace").decode() or "video"


@contextmanager
def _open(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    try:
        file = Path(path).expanduser().open("rb")
    except OSError as error:
        reason = ReadError.reason
        if isinstance(error, FileNotFoundError | NotADirectoryError | IsADirectoryError):
            reason = MissingObjectError.reason
        elif isinstance(error, PermissionError):
            reason = AccessDeniedError.reason
        raise EndpointError(f"cannot read {os.fspath(path)}: {error.strerror}", reason=reason) from error
    with file:
        yield file
