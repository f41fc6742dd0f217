"""Wanted frames by PyAV: reads every codec that ffmpeg does, and decodes no more than they need."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from viral.media.container import opened, picture_stream, read_packets
from viral.media.index import PictureIndex
from viral.media.survey import Look

if TYPE_CHECKING:
    from av.packet import Packet
    from av.stream import Stream
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

NAME = "pyav"


@dataclass
class Run:
    """A stretch of packets, by place in the file, that is decoded in one go."""

    first: int
    last: int


def runs(wanted: Sequence[int], index: PictureIndex) -> list[Run]:
    """The stretches from a key frame to the last wanted frame behind it; those that touch are one."""
    merged: list[Run] = []
    for first, last in sorted((index.entry(frame), int(index.coded[frame])) for frame in wanted):
        if merged and first <= merged[-1].last + 1:
            merged[-1].last = max(merged[-1].last, last)
        else:
            merged.append(Run(first, last))
    return merged


def pyav_frames(
    path: str, wanted: Sequence[int], index: PictureIndex, look: Look
) -> Iterator[tuple[int, npt.NDArray[np.uint8]]]:
    """The wanted frames, upright, as (number, uint8 (H, W, 3) RGB).

    What lies between the runs is read but not decoded, which needs no seeking and so no trust in a file's seek tables.
    Frames that do not come out so (a key flag may lie) are looked for again in a decode of the whole file; those that
    do not come out then are left out.
    """
    from av.video.reformatter import VideoReformatter

    reformatter = VideoReformatter()
    width, height = (look.height, look.width) if look.turns % 2 else (look.width, look.height)
    for number, frame in _sought(path, wanted, index):
        image = reformatter.reformat(frame, width, height, "rgb24", threads=1).to_ndarray()
        yield number, np.rot90(image, look.turns).astype(np.uint8, copy=False)


def _sought(path: str, wanted: Sequence[int], index: PictureIndex) -> Iterator[tuple[int, VideoFrame]]:
    missing = set(wanted)
    if index.exact:
        asked = frozenset(int(index.ticks[number]) for number in wanted)
        numbers = {int(tick): number for number, tick in enumerate(index.ticks)}
        for frame in _decoded(path, runs(wanted, index), asked):
            number = numbers.get(frame.pts) if frame.pts is not None else None
            if number in missing:
                missing.discard(number)
                yield number, frame
    if missing:
        # Without distinct times a frame is told by its place among those that come out.
        for place, frame in enumerate(_decoded(path, [Run(0, int(index.coded.max()))], None)):
            number = numbers.get(frame.pts) if index.exact and frame.pts is not None else place
            if number in missing:
                yield number, frame


def _decoded(path: str, stretches: Sequence[Run], asked: frozenset[int] | None) -> Iterator[VideoFrame]:
    """The frames of these runs. With `asked`, by ticks, frames that nobody asked for nor refers to may be skipped."""
    with opened(path) as container:
        stream = picture_stream(container)
        context = stream.codec_context
        # In interlaced pictures a field that is referred to may come with one that is not.
        spares = asked is not None and context.name in {"h264", "hevc"} and int(context.field_order) <= 1
        pending = iter(stretches)
        run = next(pending, None)
        for place, packet in enumerate(read_packets(container, stream)):
            if run is None:
                return
            if place < run.first:
                continue
            if spares and asked is not None:
                context.skip_frame = "DEFAULT" if packet.pts in asked else "NONREF"
            yield from _frames_of(stream, packet)
            if place >= run.last:
                yield from _frames_of(stream, None)
                context.flush_buffers()
                run = next(pending, None)
        if run is not None:
            yield from _frames_of(stream, None)


def _frames_of(stream: VideoStream, packet: Packet[Stream] | None) -> list[VideoFrame]:
    import av

    try:
        return stream.codec_context.decode(packet)
    except MemoryError:
        raise
    except av.error.FFmpegError:
        return []
