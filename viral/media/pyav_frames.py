"""Decoding of selected frames by PyAV: reads every codec of ffmpeg, and decodes only what the frames need."""

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
        path: of the file.
        decoder: the track's decoder.
        packets: None where they are too large to keep: they are then read from the file again.
        fed: how many packets the decoder has received already.
        decoded: the frames that it returned for them.
    """

    path: str
    decoder: VideoCodecContext
    packets: Sequence[Packet[Stream]] | None
    fed: int = 0
    decoded: Sequence[VideoFrame] = ()


@dataclass
class PacketRange:
    """Packets `first` to `last`, by position in the file, that are decoded in one go."""

    first: int
    last: int


def packet_ranges(frames: Iterable[int], index: FrameIndex) -> list[PacketRange]:
    """Ranges from a key frame to the last of the frames that need it; adjacent ranges are merged."""
    merged: list[PacketRange] = []
    for first, last in sorted((index.decode_start(frame), int(index.positions[frame])) for frame in frames):
        if merged and first <= merged[-1].last + 1:
            merged[-1].last = max(merged[-1].last, last)
        else:
            merged.append(PacketRange(first, last))
    return merged


def pyav_frames(video: CodedVideo, frames: Iterable[int], index: FrameIndex) -> Iterator[tuple[int, VideoFrame]]:
    """Yield (number, frame as coded) for the selected frames. Call it once per `CodedVideo`: the decoder moves on.

    Packets between the ranges are read but not decoded: that needs neither seeking nor correct seek tables. Frames
    that do not come out (a key flag may be wrong) are looked for in a decode of the whole file; those that still do not
    come out are skipped.
    """
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
        # Without distinct times, a frame is identified by its position in the output.
        for position, frame in enumerate(_decode_all(video.path, int(index.positions.max()))):
            number = number_of_pts.get(frame.pts) if index.exact and frame.pts is not None else position
            if number in missing:
                yield number, frame


def _decode_ranges(
    video: CodedVideo, ranges: Sequence[PacketRange], selected_pts: frozenset[int]
) -> Iterator[VideoFrame]:
    """Decode these ranges; frames that are neither selected nor referred to by others may be skipped."""
    position = 0
    with _open_coded(video) as (decoder, packets):
        # Not in interlaced video: a field that others refer to may share a packet with one that none does.
        can_skip = decoder.name in {"h264", "hevc"} and int(decoder.field_order) <= 1
        if video.packets is not None and ranges[0].first == 0:
            position = len(list(islice(packets, video.fed)))
            yield from video.decoded
        else:
            decoder.flush_buffers()
        for packet_range in ranges:
            start, stop = max(0, packet_range.first - position), max(0, packet_range.last + 1 - position)
            for packet in islice(packets, start, stop):
                if can_skip:
                    decoder.skip_frame = "DEFAULT" if packet.pts in selected_pts else "NONREF"
                yield from decode_packet(decoder, packet)
            position = max(position, packet_range.last + 1)
            yield from decode_packet(decoder, None)
            decoder.flush_buffers()


def _decode_all(path: str, last: int) -> Iterator[VideoFrame]:
    # With a new decoder: one that has seen later parts of the file may hold other headers under the same number.
    with open_container(path) as container:
        stream = video_stream(container)
        for packet in islice(read_packets(container, stream), last + 1):
            yield from decode_packet(stream.codec_context, packet)
        yield from decode_packet(stream.codec_context, None)


@contextmanager
def _open_coded(video: CodedVideo) -> Iterator[tuple[VideoCodecContext, Iterator[Packet[Stream]]]]:
    if video.packets is not None:
        yield video.decoder, iter(video.packets)
        return
    with open_container(video.path) as container:
        stream = video_stream(container)
        yield stream.codec_context, read_packets(container, stream)


def decode_packet(decoder: VideoCodecContext, packet: Packet[Stream] | None) -> list[VideoFrame]:
    """Feed a packet (None flushes the decoder) and return the frames that come out; none where it is damaged."""
    import av

    try:
        return decoder.decode(packet)
    except MemoryError:
        raise
    except av.error.FFmpegError:
        return []
