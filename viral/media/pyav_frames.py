"""Decoding of selected frames with PyAV, for every codec of ffmpeg; decodes only the packets the frames need."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from viral.media.container import open_container, read_packets, video_stream
from viral.media.index import FrameIndex

if TYPE_CHECKING:
    from av.packet import Packet
    from av.stream import Stream
    from av.video.codeccontext import VideoCodecContext
    from av.video.frame import VideoFrame

NAME = "pyav"


@dataclass(frozen=True)
class CodedVideo:
    """The packets of a video track in file order, and their decoder; valid while the file is open.

    Attributes:
        path: path of the file.
        decoder: decoder of the track.
        packets: None if they are too large to keep; they are then read from the file again.
        fed: number of packets that the decoder has received already.
        decoded: frames that it returned for them.
        seekable: see `open_container`.
    """

    path: str
    decoder: VideoCodecContext
    packets: Sequence[Packet[Stream]] | None
    fed: int = 0
    decoded: Sequence[VideoFrame] = ()
    seekable: bool = True


@dataclass
class PacketRange:
    """Packets `first` to `last`, by position in the file, to decode without a break."""

    first: int
    last: int


def packet_ranges(frames: Iterable[int], index: FrameIndex) -> list[PacketRange]:
    """Return the packet ranges to decode, each from a key frame to a selected frame; adjacent ranges are merged."""
    merged: list[PacketRange] = []
    for first, last in sorted((index.decode_start(frame), int(index.positions[frame])) for frame in frames):
        # Ranges that touch are one: a break between them would decode the key frame again.
        if merged and first <= merged[-1].last + 1:
            merged[-1].last = max(merged[-1].last, last)
        else:
            merged.append(PacketRange(first, last))
    return merged


def pyav_frames(video: CodedVideo, frames: Iterable[int], index: FrameIndex) -> Iterator[tuple[int, VideoFrame]]:
    """Yield (number, frame as coded) for the selected frames. Call it once per `CodedVideo`: the decoder moves on.

    Packets between the ranges are read but not decoded, so no seeking and no correct seek tables are needed. If frames
    are missing afterwards, for example because a key flag is wrong, the whole file is decoded to find them. Frames that
    cannot be decoded are left out.
    """
    # Counted down while frames arrive; what is left was not decoded.
    missing = set(frames)
    if index.exact:
        selected_pts = frozenset(int(index.pts[number]) for number in missing)
        number_of_pts = {int(pts): number for number, pts in enumerate(index.pts)}
        for frame in _decode_ranges(video, packet_ranges(missing, index), selected_pts):
            number = number_of_pts.get(frame.pts) if frame.pts is not None else None
            if number in missing:
                missing.discard(number)
                yield number, frame
    if missing:
        # Without unique times, frames are identified by their position in the output.
        for position, frame in enumerate(_decode_all(video, int(index.positions.max()))):
            number = number_of_pts.get(frame.pts) if index.exact and frame.pts is not None else position
            if number in missing:
                yield number, frame


def _decode_ranges(
    video: CodedVideo, ranges: Sequence[PacketRange], selected_pts: frozenset[int]
) -> Iterator[VideoFrame]:
    """Decode these ranges, skipping frames that are neither selected nor referred to by others where possible."""
    position = 0
    with _open_coded(video) as (decoder, packets):
        # Not in interlaced video: a packet may hold one field that others refer to and one that none refers to.
        can_skip = decoder.name in {"h264", "hevc"} and int(decoder.field_order) <= 1
        # The probe has decoded the first packets already: go on after them, with the frames that came of them.
        if video.packets is not None and ranges[0].first == 0:
            position = len(list(islice(packets, video.fed)))
            yield from video.decoded
        else:
            decoder.flush_buffers()
        for packet_range in ranges:
            start, stop = max(0, packet_range.first - position), max(0, packet_range.last + 1 - position)
            for packet in islice(packets, start, stop):
                if can_skip:
                    # NONREF spares the decoder the frames that no other frame refers to.
                    decoder.skip_frame = "DEFAULT" if packet.pts in selected_pts else "NONREF"
                yield from decode_packet(decoder, packet)
            position = max(position, packet_range.last + 1)
            # The range ends here: fetch the frames that the decoder still holds, and make it forget its references.
            yield from decode_packet(decoder, None)
            decoder.flush_buffers()


def _decode_all(video: CodedVideo, last: int) -> Iterator[VideoFrame]:
    # Use a new decoder: one that has seen later parts of the file may hold their headers under the same ids.
    with open_container(video.path, seekable=video.seekable) as container:
        stream = video_stream(container)
        for packet in islice(read_packets(container, stream), last + 1):
            yield from decode_packet(stream.codec_context, packet)
        yield from decode_packet(stream.codec_context, None)


@contextmanager
def _open_coded(video: CodedVideo) -> Iterator[tuple[VideoCodecContext, Iterator[Packet[Stream]]]]:
    if video.packets is not None:
        yield video.decoder, iter(video.packets)
        return
    with open_container(video.path, seekable=video.seekable) as container:
        stream = video_stream(container)
        yield stream.codec_context, read_packets(container, stream)


def decode_packet(decoder: VideoCodecContext, packet: Packet[Stream] | None) -> list[VideoFrame]:
    """Decode a packet (None flushes the decoder) and return the resulting frames; none if the packet is damaged."""
    import av

    try:
        return decoder.decode(packet)
    # ffmpeg's memory error is both a MemoryError and an FFmpegError: it is no damaged packet.
    except MemoryError:
        raise
    except av.error.FFmpegError:
        return []
