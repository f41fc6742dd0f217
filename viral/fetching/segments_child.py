"""The program that `SegmentDownloader` runs as a child process: yt-dlp's downloaders of HLS, DASH and files.

It opens no connection: it writes each request to its parent, as a line of JSON, and reads the answer from there.
"""

from __future__ import annotations

import heapq
import io
import json
import resource
import socket
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from viral.fetching.ydl import youtube_dl
from viral.media.child import die_with, limit_memory
from viral.media.container import open_container

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.packet import Packet
    from av.stream import Stream

Message = dict[str, Any]
"""To the parent: `ready`, requests (`url`, `headers`), then `file` (its path) or `error`, `errno`. From the parent: a
task (`formats`, `folder`, `max_bytes`), answers (`url`, `status`, `headers`, `bytes`), each followed by its body."""


def main(descriptor: int, parent: int, memory_bytes: int) -> None:
    """Download one video; the arguments are those of `viral.media.child.main`."""
    die_with(parent)
    import yt_dlp.downloader  # noqa: F401 - loaded before memory is limited

    limit_memory(memory_bytes)
    with socket.socket(fileno=descriptor) as connection, connection.makefile("rwb") as stream:
        _write(stream, {"ready": True})
        task = json.loads(stream.readline())
        # The parent counts what it sends; this also bounds what yt-dlp makes of it.
        resource.setrlimit(resource.RLIMIT_FSIZE, (task["max_bytes"], task["max_bytes"]))
        try:
            _write(stream, {"file": str(_download(stream, task["formats"], Path(task["folder"])))})
        except Exception as error:  # noqa: BLE001 - manifests are untrusted, and yt-dlp may raise anything
            _write(stream, {"error": f"{type(error).__name__}: {error}", "errno": getattr(error, "errno", None)})


def _download(stream: io.BufferedRWPair, formats: Sequence[Mapping[str, Any]], folder: Path) -> Path:
    """Download the formats, and merge them if they are two."""
    ydl = youtube_dl(
        lambda request: _request(stream, request),
        extractors=False,
        retries=0,  # the parent retries
        fragment_retries=0,
        # A video with a hole is no video: the next format is tried instead.
        skip_unavailable_fragments=False,
        nopart=True,
        updatetime=False,
        continuedl=False,
    )
    files = [_download_format(ydl, fmt, folder / f"{number}") for number, fmt in enumerate(formats)]
    return files[0] if len(files) == 1 else _merge(files, folder / _merged_name(formats))


def _download_format(ydl: Any, fmt: Mapping[str, Any], path: Path) -> Path:
    from yt_dlp.downloader.dash import DashSegmentsFD
    from yt_dlp.downloader.hls import HlsFD
    from yt_dlp.downloader.http import HttpFD

    protocol = fmt["protocol"]
    downloader = HlsFD if protocol.startswith("m3u8") else DashSegmentsFD if "dash" in protocol else HttpFD
    if not downloader(ydl, ydl.params).real_download(str(path), dict(fmt)):
        raise ValueError("yt-dlp cannot download the stream")
    return path


def _request(stream: io.BufferedRWPair, request: Any) -> Any:
    """Send a request of yt-dlp through the parent, which ends this process if there is no good answer."""
    from yt_dlp.networking.common import Response

    _write(stream, {"url": request.url, "headers": dict(request.headers)})
    answer = json.loads(stream.readline())
    body = io.BytesIO(stream.read(answer["bytes"]))
    return Response(body, answer["url"], answer["headers"], answer["status"])


def _write(stream: io.BufferedRWPair, message: Message) -> None:
    stream.write(json.dumps(message).encode() + b"\n")
    stream.flush()


def _merged_name(formats: Sequence[Mapping[str, Any]]) -> str:
    """Matroska holds every codec, MP4 those of the formats that come in MP4."""
    return "merged.mp4" if all(fmt.get("ext") in ("mp4", "m4a", "ts") for fmt in formats) else "merged.mkv"


def _merge(files: Sequence[Path], path: Path) -> Path:
    """Copy the pictures of the first file and the sound of the second one into one file, packet by packet."""
    import av

    av.logging.set_level(None)
    with (
        open_container(str(files[0])) as pictures,
        open_container(str(files[1])) as sound,
        av.open(str(path), "w") as merged,
    ):
        tracks = [_packets(pictures, "video"), _packets(sound, "audio")]
        outputs = [merged.add_stream_from_template(stream) for stream, _ in tracks]
        timed = [_timed(packets, number) for number, (_, packets) in enumerate(tracks)]
        # By decoding time, so that a player need not seek between pictures and sound.
        for _, number, packet in heapq.merge(*timed, key=lambda entry: entry[:2]):
            packet.stream = outputs[number]
            merged.mux(packet)
    return path


def _packets(container: InputContainer, kind: Literal["video", "audio"]) -> tuple[Any, Iterator[Packet[Stream]]]:
    stream = container.streams.best(kind)
    if stream is None:
        raise ValueError(f"a format has no {kind} stream")
    # At the end, PyAV yields an empty packet for decoders, which has no time.
    return stream, (packet for packet in container.demux(stream) if packet.dts is not None)


def _timed(packets: Iterator[Packet[Stream]], number: int) -> Iterator[tuple[float, int, Packet[Stream]]]:
    for packet in packets:
        yield float((packet.dts or 0) * packet.time_base), number, packet


if __name__ == "__main__":
    main(*(int(argument) for argument in sys.argv[1:]))
