"""Wanted frames by PyAV: reads every codec that ffmpeg does, and decodes no more than they need."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from viral.media.container import opened, picture_stream, read_packets
from viral.media.index import PictureIndex

if TYPE_CHECKING:
    from av.packet import Packet
    from av.stream import Stream
    from av.video.codeccontext import VideoCodecContext
    from av.video.frame import VideoFrame

NAME = "pyav"


@dataclass(frozen=True)
class CodedPicture:
    """The packets of a picture track in the order of the file, and what decodes them; good while the file is open.

    `packets` is None where they are too many to be held in memory: then they are read from `path` again. The decoder
    has been fed the first `fed` of them, and gave the frames `begun`.
    """

    path: str
    decoder: VideoCodecContext
    packets: Sequence[Packet[Stream]] | None
    fed: int = 0
    begun: Sequence[VideoFrame] = ()


@dataclass
class Run:
    """A stretch of packets, by place in the file, that is decoded in one go."""

    first: int
    last: int


def runs(wanted: Iterable[int], index: PictureIndex) -> list[Run]:
    """The stretches from a key frame to the last wanted frame behind it; those that touch are one."""
    merged: list[Run] = []
    for first, last in sorted((index.entry(frame), int(index.coded[frame])) for frame in wanted):
        if merged and first <= merged[-1].last + 1:
            merged[-1].last = max(merged[-1].last, last)
        else:
            merged.append(Run(first, last))
    return merged


def pyav_frames(picture: CodedPicture, wanted: Iterable[int], index: PictureIndex) -> Iterator[tuple[int, VideoFrame]]:
    """The wanted frames, as (number, frame as it is coded). To be asked once of a picture: the decoder moves on.

    What lies between the runs is read but not decoded, which needs no seeking and so no trust in a file's seek tables.
    Frames that do not come out so (a key flag may lie) are looked for again in a decode of the whole file; those that
    do not come out then are left out.
    """
    missing = set(wanted)
    if index.exact:
        asked = frozenset(int(index.ticks[number]) for number in missing)
        numbers = {int(tick): number for number, tick in enumerate(index.ticks)}
        for frame in _some(picture, runs(missing, index), asked):
            number = numbers.get(frame.pts) if frame.pts is not None else None
            if number in missing:
                missing.discard(number)
                yield number, frame
    if missing:
        # Without distinct times a frame is told by its place among those that come out.
        for place, frame in enumerate(_all(picture.path, int(index.coded.max()))):
            number = numbers.get(frame.pts) if index.exact and frame.pts is not None else place
            if number in missing:
                yield number, frame


def _some(picture: CodedPicture, stretches: Sequence[Run], asked: frozenset[int]) -> Iterator[VideoFrame]:
    """The frames of these runs. Those that nobody asked for nor refers to, by their ticks, may be skipped."""
    place = 0
    with _coded(picture) as (decoder, packets):
        # In interlaced pictures a field that is referred to may come with one that is not.
        spares = decoder.name in {"h264", "hevc"} and int(decoder.field_order) <= 1
        if picture.packets is not None and stretches[0].first == 0:
            place = len(list(islice(packets, picture.fed)))
            yield from picture.begun
        else:
            decoder.flush_buffers()
        for run in stretches:
            for packet in islice(packets, max(0, run.first - place), max(0, run.last + 1 - place)):
                if spares:
                    decoder.skip_frame = "DEFAULT" if packet.pts in asked else "NONREF"
                yield from frames_of(decoder, packet)
            place = max(place, run.last + 1)
            yield from frames_of(decoder, None)
            decoder.flush_buffers()


def _all(path: str, last: int) -> Iterator[VideoFrame]:
    # With a decoder of its own: one that has seen later parts of a file may know other headers by the same number.
    with opened(path) as container:
        stream = picture_stream(container)
        for packet in islice(read_packets(container, stream), last + 1):
            yield from frames_of(stream.codec_context, packet)
        yield from frames_of(stream.codec_context, None)


@contextmanager
def _coded(picture: CodedPicture) -> Iterator[tuple[VideoCodecContext, Iterator[Packet[Stream]]]]:
    if picture.packets is not None:
        yield picture.decoder, iter(picture.packets)
        return
    with opened(picture.path) as container:
        stream = picture_stream(container)
        yield stream.codec_context, read_packets(container, stream)


def frames_of(decoder: VideoCodecContext, packet: Packet[Stream] | None) -> list[VideoFrame]:
    """The frames that come out when a packet, or None for the end, goes in; none where it is damaged."""
    import av

    try:
        return decoder.decode(packet)
    except MemoryError:
        raise
    except av.error.FFmpegError:
        return []
