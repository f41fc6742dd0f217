"""Opens media files by PyAV: local files only, of known containers, with failures named."""

from __future__ import annotations

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
    import av
    from av.audio.stream import AudioStream
    from av.container import InputContainer
    from av.packet import Packet
    from av.stream import Stream
    from av.video.stream import VideoStream

# Playlists (hls, concat, sdp …) are left out on purpose: they make ffmpeg open other files and addresses.
CONTAINERS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,flv,live_flv,mpegts,mpeg,mpegvideo,asf,ogg,ivf,h264,hevc,m4v,obu,gif,"
    "mxf,nut,rm,dv,swf,mp3,wav,aac,ac3,eac3,flac,aiff,amr,caf,w64,opus"
)
OPTIONS = {"protocol_whitelist": "file", "format_whitelist": CONTAINERS}


@contextmanager
def opened(path: str) -> Iterator[InputContainer]:
    """The opened file.

    Raises:
        MissingObjectError: there is no such file.
        UnreadableError: it is empty, or nothing that is known.
        OutOfMemoryError: ffmpeg could not allocate.
    """
    import av

    absolute = Path(path).absolute()
    if not absolute.is_file():
        raise MissingObjectError(f"no file at {path}")
    if absolute.stat().st_size == 0:
        raise UnreadableError("the file is empty")
    try:
        container = av.open(str(absolute), options=dict(OPTIONS), metadata_errors="replace")
    except av.error.FFmpegError as error:
        raise failure(error) from None
    with container:
        yield container


def failure(error: av.error.FFmpegError) -> UnreadableError | OutOfMemoryError:
    """What an error of ffmpeg means for the post."""
    if isinstance(error, MemoryError):
        return OutOfMemoryError("ffmpeg could not allocate memory")
    return UnreadableError(f"ffmpeg: {error.strerror}")


def has_picture(container: InputContainer) -> bool:
    """Whether there is a moving picture; cover art and still images are none."""
    return bool(_moving(container))


def picture_stream(container: InputContainer) -> VideoStream:
    """The moving picture, decoding on one thread; cover art and still images are none.

    Raises:
        NoVideoStreamError: there is no moving picture.
        UnsupportedCodecError: no decoder here knows its codec.
    """
    moving = _moving(container)
    if not moving:
        held = ["cover art" if s.type == "video" else s.type for s in container.streams]
        raise NoVideoStreamError(f"no moving picture, only {', '.join(held) or 'an empty container'}")
    best = container.streams.best("video")
    stream = next((s for s in moving if s is best), moving[0])
    if stream.codec_context is None:
        raise UnsupportedCodecError("no decoder for the codec of the picture")
    stream.codec_context.thread_count = 1
    return stream


def _moving(container: InputContainer) -> list[VideoStream]:
    from av.stream import Disposition

    return [s for s in container.streams.video if not s.disposition & Disposition.attached_pic]


def sound_stream(container: InputContainer) -> AudioStream | None:
    """The sound that a player would play, or None."""
    streams = container.streams.audio
    best = container.streams.best("audio")
    return next((s for s in streams if s is best), streams[0] if streams else None)


def read_packets(container: InputContainer, *streams: VideoStream | AudioStream) -> Iterator[Packet[Stream]]:
    """The packets of these streams until the file ends or breaks off; damaged and empty ones are left out."""
    import av

    packets = container.demux(*streams)
    while True:
        try:
            packet = next(packets, None)
        except MemoryError:
            raise
        except av.error.FFmpegError:
            return
        if packet is None:
            return
        if packet.size and not packet.is_corrupt:
            yield packet
