"""Download of a video in segments, HLS or DASH, with yt-dlp's own downloader in a child process.

The child asks this process for each manifest, key and segment, so that all of them come from allowed hosts, at the
rate of the site, within the size limit and before the deadline.
"""

from __future__ import annotations

import errno
import json
import socket
import tempfile
import time
from collections.abc import Mapping
from io import BufferedRWPair
from pathlib import Path
from typing import IO, Any

import httpx

from viral.config import Settings
from viral.errors import PageError, ReadError, TimedOutError, TooLargeError, UnreadableError, ViralError
from viral.fetching.choices import Choice
from viral.fetching.deadline import Deadline
from viral.fetching.download import Download
from viral.fetching.http import LimitedClient, connection_error, status_error
from viral.fetching.signatures import HEAD_BYTES, container_extension
from viral.media.facts import size_and_sha256
from viral.media.sandbox import START_SECONDS, last_line, spawn

# Manifests, keys and segments of one video: ten minutes in segments of half a second, of pictures and of sound.
MAX_REQUESTS = 2500
MAX_MESSAGE_BYTES = 1 << 20  # far above any URL with its headers
_SPOOLED_BYTES = 8 << 20  # most segments are smaller, and stay in memory
_TRANSFER_HEADERS = ("content-encoding", "content-length", "transfer-encoding")  # the child gets the decoded body


class SegmentDownloader:
    """Downloader of videos in segments, for one thread at a time.

    Args:
        client: sends the requests.
        settings: limits on size and memory.
    """

    def __init__(self, client: LimitedClient, settings: Settings) -> None:
        self.client, self.settings = client, settings

    def download(self, choice: Choice, folder: Path, deadline: Deadline) -> tuple[Download, Path]:
        """Download a video into a folder; return its facts and its path.

        Raises:
            PostError, FetchError: the download failed.
        """
        with tempfile.TemporaryFile() as log:
            path = self._run(choice, folder, deadline, log)
        with path.open("rb") as file:
            extension = container_extension(file.read(HEAD_BYTES))
        if extension is None:
            raise UnreadableError("the segments are no video")
        return Download(*size_and_sha256(str(path)), extension), path

    def _run(self, choice: Choice, folder: Path, deadline: Deadline, log: IO[bytes]) -> Path:
        connection, child_end = socket.socketpair()
        started = time.monotonic()
        with child_end:
            # Like a decoder: manifests are untrusted, and the child gets neither credentials nor much memory.
            process = spawn(
                "viral.fetching.segments_child", child_end.fileno(), log.fileno(), self.settings.sandbox.memory_bytes
            )
        try:
            with connection, connection.makefile("rwb") as stream:
                connection.settimeout(START_SECONDS)
                if not stream.readline(MAX_MESSAGE_BYTES):
                    raise ViralError(f"the download process does not start: {last_line(log)}")
                # The deadline is the site's: starting the child does not count.
                deadline.extend(time.monotonic() - started)
                return _Relay(self.client, connection, stream, deadline, self.settings.media.max_bytes).run(
                    choice, folder
                )
        except TimeoutError as error:
            raise TimedOutError(f"not complete after fetch.seconds = {deadline.seconds:g}") from error
        except (OSError, ValueError, KeyError) as error:
            if isinstance(error, OSError) and error.errno == errno.ENOSPC:
                raise  # not this URL's fault
            raise ReadError(f"the download process ended: {last_line(log) or error}") from error
        finally:
            process.kill()
            process.wait()


class _Relay:
    """Answers the requests of one child process."""

    def __init__(
        self,
        client: LimitedClient,
        connection: socket.socket,
        stream: BufferedRWPair,
        deadline: Deadline,
        max_bytes: int,
    ) -> None:
        self._client, self._connection, self._stream = client, connection, stream
        self._deadline, self._max_bytes, self._bytes = deadline, max_bytes, 0

    def run(self, choice: Choice, folder: Path) -> Path:
        """Send the task, answer requests until the child has finished, and return the path of its file.

        Raises:
            PageError: the child cannot download the stream. TooLargeError: it has too many segments.
        """
        self._send(
            {"formats": [dict(fmt) for fmt in choice.formats], "folder": str(folder), "max_bytes": self._max_bytes}
        )
        # One message more than requests: the last one names the file.
        for _ in range(MAX_REQUESTS + 1):
            message = self._receive()
            # A full disk fails every URL: it ends the run instead of marking this one.
            if message.get("errno") == errno.ENOSPC:
                raise OSError(errno.ENOSPC, str(message["error"]))
            if "error" in message:
                raise PageError(f"{choice.url}: {message['error']}")
            if "file" in message:
                # The name alone: a child that a hostile manifest has taken over must not point at another file.
                return folder / Path(message["file"]).name
            self._answer(str(message["url"]), {str(name): str(text) for name, text in message["headers"].items()})
        raise TooLargeError(f"{choice.url} has more than {MAX_REQUESTS} segments")

    def _answer(self, url: str, headers: Mapping[str, str]) -> None:
        with tempfile.SpooledTemporaryFile(_SPOOLED_BYTES) as body:
            response = self._fetch(url, headers, body)
            passed = {name: text for name, text in response.headers.items() if name not in _TRANSFER_HEADERS}
            # The whole body before the answer, which begins with its size: a broken connection is retried unseen by the
            # child.
            size = body.tell()
            answer = {"url": str(response.url), "status": response.status_code, "bytes": size}
            self._send({**answer, "headers": {**passed, "content-length": str(size)}})
            body.seek(0)
            while chunk := body.read(1 << 16):
                self._stream.write(chunk)
            self._stream.flush()

    def _fetch(self, url: str, headers: Mapping[str, str], body: IO[bytes]) -> httpx.Response:
        """Write the body of a response to a file; retried from the start if the connection breaks."""
        for attempt in range(1, self._client.settings.attempts + 1):
            response = self._client.send(url, self._deadline, headers=headers)
            try:
                if response.status_code not in (200, 206):
                    raise status_error(response.status_code, str(response.url))
                self._copy(response, body)
            except httpx.RequestError as error:
                if attempt == self._client.settings.attempts:
                    raise connection_error(error, url) from error
            else:
                return response
            finally:
                response.close()
            # What came before the break is dropped, so that the child gets no byte twice.
            body.seek(0)
            body.truncate()
            self._client.backoff(self._deadline, attempt, url)
        raise ReadError(f"{url}: no attempt was made")

    def _copy(self, response: httpx.Response, body: IO[bytes]) -> None:
        for chunk in response.iter_bytes():
            self._bytes += len(chunk)
            if self._bytes > self._max_bytes:
                limit = f"media.max_bytes = {self._max_bytes}"
                raise TooLargeError(f"the segments up to {response.url} are larger than {limit}: stopped reading there")
            self._deadline.remaining()
            body.write(chunk)

    def _send(self, message: Mapping[str, Any]) -> None:
        self._connection.settimeout(self._deadline.remaining())
        self._stream.write(json.dumps(message, default=str).encode() + b"\n")
        self._stream.flush()

    def _receive(self) -> dict[str, Any]:
        self._connection.settimeout(self._deadline.remaining())
        line = self._stream.readline(MAX_MESSAGE_BYTES)
        message = json.loads(line)
        if not isinstance(message, dict):
            raise ValueError("it sent no message")
        return message
