"""Opening and reading of local media files with PyAV."""

from __future__ import annotations

import mmap
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from viral.errors import (
    MissingObjectError,
    NoVideoStreamError,
    OutOfMemoryError,
    UnreadableError,
    UnsupportedCodecError,
)

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.container import InputContainer
    from av.packet import Packet
    from av.stream import Stream
    from av.video.stream import VideoStream

# Formats that ffmpeg may open. Playlists (hls, concat, sdp …) are not among them: they refer to other files and URLs.
CONTAINERS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,flv,live_flv,mpegts,mpeg,mpegvideo,asf,ogg,ivf,h264,hevc,m4v,obu,gif,"
    "mxf,nut,rm,dv,swf,mp3,wav,aac,ac3,eac3,flac,aiff,amr,caf,w64,opus"
)
# Codecs of pictures: a track of one of them beside another video track is a poster.
STILL_CODECS = {"mjpeg", "png", "bmp", "webp", "tiff", "jpegls", "jpeg2000"}
# Handler of a video track, and the code of its format, in the boxes of an MP4 file (ISO/IEC 14496-12).
_SAMPLE_ENTRY = re.compile(rb"hdlr.{8}vide.*?stsd.{12}([!-~]{4})", re.DOTALL)
_CODEC_NAMES = {"bvc2": "bytevc2, which only TikTok's own players decode"}
OPTIONS = {"protocol_whitelist": "file", "format_whitelist": CONTAINERS}


@contextmanager
def open_container(path: str, *, seekable: bool = True) -> Iterator[InputContainer]:
    """Open a local media file.

    Args:
        path: path of the file.
        seekable: whether ffmpeg may seek. Without seeking, it reads a cut fragmented MP4 file to its end.

    Raises:
        MissingObjectError: the file does not exist.
        UnreadableError: it is empty or in an unknown format.
        OutOfMemoryError: ffmpeg could not allocate memory.
    """
    import av

    absolute = Path(path).absolute()
    if not absolute.is_file():
        raise MissingObjectError(f"no file at {path}")
    if absolute.stat().st_size == 0:
        raise UnreadableError("the file is empty")
    options = dict(OPTIONS) if seekable else {**OPTIONS, "seekable": "0"}
    try:
        # Titles in odd encodings are no reason to refuse a file: bytes that are not UTF-8 are replaced.
        container = av.open(str(absolute), options=options, metadata_errors="replace")
    except av.error.FFmpegError as error:
        if isinstance(error, MemoryError):
            raise OutOfMemoryError("ffmpeg could not allocate memory") from None
        raise UnreadableError(f"ffmpeg: {error.strerror}") from None
    with container:
        yield container


def start_of(container: InputContainer) -> float:
    """Return the time in seconds, on the clock of a file, at which a player starts it."""
    return (container.start_time or 0) / 1e6


def has_video(container: InputContainer) -> bool:
    """Whether a file has a video stream other than cover art."""
    return bool(_video_streams(container))


def video_stream(container: InputContainer) -> VideoStream:
    """Return the main video stream, set to decode on one thread: the default one, but neither cover art nor a still.

    Raises:
        NoVideoStreamError: there is none.
        UnsupportedCodecError: there is no decoder for its codec.
    """
    from av.stream import Disposition

    streams = _video_streams(container)
    if not streams:
        kinds = ["cover art" if s.type == "video" else s.type for s in container.streams]
        raise NoVideoStreamError(f"no video stream, only {', '.join(kinds) or 'an empty container'}")
    best = container.streams.best("video")
    default = Disposition.default
    # In this order: moving before still, then the track that the file marks as default, then ffmpeg's choice.
    stream = max(streams, key=lambda s: (not _is_still(s), bool(s.disposition & default), s is best))
    if stream.codec_context is None:
        raise UnsupportedCodecError(f"there is no decoder for the video codec{_codec_name(container.name)}")
    # Workers are planned by core, and ffmpeg ignores OMP_NUM_THREADS: its own threads would compete with them.
    stream.codec_context.thread_count = 1
    return stream


def _video_streams(container: InputContainer) -> list[VideoStream]:
    from av.stream import Disposition

    return [s for s in container.streams.video if not s.disposition & Disposition.attached_pic]


def _codec_name(path: str) -> str:
    """Name of the codec of an MP4 file that ffmpeg does not know, after a space; empty for other containers."""
    with Path(path).open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        match = _SAMPLE_ENTRY.search(data)
        code = match[1].decode("ascii") if match else ""
    return f" {_CODEC_NAMES.get(code, code)}" if code else ""


def _is_still(stream: VideoStream) -> bool:
    from av.stream import Disposition

    codec = stream.codec_context.name if stream.codec_context is not None else ""
    return bool(stream.disposition & Disposition.still_image) or stream.frames == 1 or codec in STILL_CODECS


def audio_stream(container: InputContainer) -> AudioStream | None:
    """Return the audio stream that ffmpeg prefers, as players do, or None."""
    streams = container.streams.audio
    best = container.streams.best("audio")
    return next((s for s in streams if s is best), streams[0] if streams else None)


def read_packets(container: InputContainer, *streams: VideoStream | AudioStream) -> Iterator[Packet[Stream]]:
    """Yield the packets of these streams, except damaged and empty ones, until the file ends or cannot be read on."""
    import av

    try:
        for packet in container.demux(*streams):
            # PyAV ends each stream with an empty packet that flushes the decoder; callers flush with None themselves.
            if packet.size and not packet.is_corrupt:
                yield packet
    # ffmpeg's memory error is both a MemoryError and an FFmpegError: it must not pass for the end of the file.
    except MemoryError:
        raise
    except av.error.FFmpegError:
        return
