"""Opening of scraped files as UTF-8, and their formats."""

from __future__ import annotations

import codecs
import io
from collections.abc import Callable
from typing import BinaryIO

from viral.errors import ConfigError, SourceError

OpenFile = Callable[[str], BinaryIO]

CSV, JSON, PARQUET = "csv", "json", "parquet"
FORMATS = (CSV, JSON, PARQUET)
SUFFIXES = {
    CSV: (".csv", ".tsv"),
    JSON: (".json", ".jsonl", ".ndjson", ".jl"),
    PARQUET: (".parquet",),
}
COMPRESSED = (".gz", ".xz")
_BOMS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
_NO_TABLES = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0", b"SQLite format 3")  # xlsx and zip, xls, SQLite
_BLOCK_BYTES = 1 << 20  # decoded at once


def plain_name(file: str) -> str:
    """Name of a file in lower case, without the suffix of a compression."""
    name = file.lower()
    for suffix in COMPRESSED:
        name = name.removesuffix(suffix)
    return name


def detect_format(open_file: OpenFile, file: str) -> str:
    """Return the format of a file by its suffix, or else by its first bytes.

    Raises:
        SourceError: it is a workbook, an archive or a database.
    """
    name = plain_name(file)
    by_suffix = [each for each, suffixes in SUFFIXES.items() if name.endswith(suffixes)]
    if by_suffix:
        return by_suffix[0]
    with open_file(file) as stream:
        # Enough for a byte order mark, some white space and the first bracket.
        head = stream.read(64)
    if head.startswith(_NO_TABLES):
        raise SourceError(f"{file} is a workbook of a spreadsheet, an archive or a database: export it as CSV in UTF-8")
    if head.startswith(b"PAR1"):
        return PARQUET
    # Without zero bytes and byte order marks, UTF-16 begins as UTF-8 does.
    return JSON if head.replace(b"\x00", b"").lstrip(b"\xef\xbb\xbf\xff\xfe \t\r\n")[:1] in (b"{", b"[") else CSV


def check_encoding(encoding: str) -> None:
    """Raise ConfigError if there is no such encoding."""
    try:
        codecs.lookup(encoding)
    except LookupError:
        raise ConfigError(
            f"there is no encoding {encoding!r}: name one as utf-8, utf-16, cp1252 or shift_jis"
        ) from None


def open_utf8(open_file: OpenFile, file: str, encoding: str | None) -> BinaryIO:
    """Open a text file as UTF-8 without a byte order mark, which also tells UTF-16; `encoding` is the user's.

    Reading raises SourceError where the bytes are not of the encoding; those of UTF-8 are not checked.
    """
    stream = open_file(file)
    try:
        head = stream.read(4)
        mark, found = next(((mark, name) for mark, name in _BOMS if head.startswith(mark)), (b"", encoding or "utf-8"))
        rest = _Chained(head[len(mark) :], stream)
    except BaseException:  # Ctrl-C, too, leaves no open file
        stream.close()
        raise
    decoded: io.RawIOBase = rest if codecs.lookup(found).name == "utf-8" else _Transcoded(rest, found, file)
    return io.BufferedReader(decoded, _BLOCK_BYTES)


class _Reader(io.RawIOBase):
    """Reader of another stream, which closes with it."""

    _stream: BinaryIO | io.RawIOBase

    def readable(self) -> bool:
        """Return True: `io.RawIOBase` is not readable by default."""
        return True

    def close(self) -> None:
        """Close the other stream, then this one."""
        if not self.closed:
            self._stream.close()
        super().close()


class _Chained(_Reader):
    """Bytes that were read already, then the rest of a stream."""

    def __init__(self, head: bytes, stream: BinaryIO) -> None:
        self._head, self._stream = head, stream

    def readinto(self, buffer: bytearray) -> int:  # type: ignore[override]  # any writable buffer
        """Read up to `len(buffer)` bytes; return their number, 0 at the end."""
        # What was read for the byte order mark comes first, then the stream itself.
        data = self._head[: len(buffer)] or self._stream.read(len(buffer))
        self._head = self._head[len(buffer) :]
        buffer[: len(data)] = data
        return len(data)


class _Transcoded(_Reader):
    """A stream of text in some encoding, as UTF-8."""

    def __init__(self, stream: io.RawIOBase, encoding: str, file: str) -> None:
        self._stream, self._encoding, self._file = stream, encoding, file
        self._decoder = codecs.getincrementaldecoder(encoding)()
        self._waiting = b""

    def readinto(self, buffer: bytearray) -> int:  # type: ignore[override]  # any writable buffer
        """Read up to `len(buffer)` bytes of UTF-8; return their number, 0 at the end."""
        while not self._waiting:
            block = self._stream.read(_BLOCK_BYTES) or b""
            try:
                text = self._decoder.decode(block, final=not block)
            except UnicodeDecodeError as error:
                raise SourceError(f"{self._file} is not {self._encoding}: {error.reason}; name its encoding") from None
            # A block may be longer in UTF-8 than the buffer: the rest waits for the next call.
            self._waiting = text.encode("utf-8", "replace")
            if not block:
                break
        data, self._waiting = self._waiting[: len(buffer)], self._waiting[len(buffer) :]
        buffer[: len(data)] = data
        return len(data)
