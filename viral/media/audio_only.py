"""The one pass over a file of which nothing but the sound is wanted, and that may hold nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

from viral.errors import EmptyWindowError, NoVideoStreamError, TooLongError
from viral.media.audio import SoundDecoder
from viral.media.container import has_picture, read_packets, sound_stream
from viral.media.facts import digest, truncated
from viral.media.limits import Limits
from viral.media.media import Audio, Facts, Media
from viral.media.plan import Plan
from viral.media.probe import declared_seconds
from viral.media.trim import heard_through
from viral.media.window import Window

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.container import InputContainer


def is_only_heard(container: InputContainer, plan: Plan) -> bool:
    """Whether the plan asks for sound alone, of a file without a moving picture: an mp3, say."""
    wanted = plan.sounds and not plan.pictures and not plan.packets
    return bool(wanted) and not has_picture(container) and sound_stream(container) is not None


def heard(path: str, container: InputContainer, plan: Plan, limits: Limits) -> Media:
    """Answers the plan's requests for sound.

    Raises:
        TooLongError: it lasts longer than the limits allow.
        EmptyWindowError: the plan's window lies behind its end.
        NoVideoStreamError: it holds no sound either that a decoder here knows.
    """
    stream = sound_stream(container)
    if stream is None or stream.codec_context is None:
        raise NoVideoStreamError("no moving picture, and no sound that a decoder here knows")
    decoder = SoundDecoder(stream, [request.rate for request in plan.sounds], limits.max_seconds)
    seen = _fed(container, stream, decoder, limits)
    sounds = _heard(decoder, plan.window, (container.start_time or 0) / 1e6)
    if plan.window:
        seen = _left(plan.window, seen)
    declared = declared_seconds(container, plan.window)
    size, sha256 = digest(path)
    found = Facts(
        container=container.format.name,
        audio_codec=stream.codec_context.codec.canonical_name,
        declared_seconds=declared,
        seen_seconds=seen,
        bytes=size,
        sha256=sha256,
    )
    partial = [*(["truncated"] if truncated(declared, seen) else []), *(["audio_failed"] if sounds is None else [])]
    return Media(found, {each: sounds[each.rate] for each in plan.sounds} if sounds else {}, tuple(partial))


def _heard(decoder: SoundDecoder, window: Window | None, zero: float) -> dict[int, Audio] | None:
    sounds = decoder.finish()
    return sounds and heard_through(sounds, window, decoder.begins(zero))


def _left(window: Window, seen: float) -> float:
    if window.start >= seen:
        raise EmptyWindowError(f"there is no sound from {window}: it lasts {seen:.3g} s")
    return window.length(seen)


def _fed(container: InputContainer, stream: AudioStream, decoder: SoundDecoder, limits: Limits) -> float:
    """Decode all packets; where the last one ends, in seconds."""
    tick, zero, seen = float(stream.time_base or 0), (container.start_time or 0) / 1e6, 0.0
    for packet in read_packets(container, stream):
        start = packet.pts if packet.pts is not None else packet.dts
        if start is not None:
            seen = max(seen, (start + (packet.duration or 0)) * tick - zero)
        if seen > limits.max_seconds:
            raise TooLongError(f"lasts longer than media.max_seconds = {limits.max_seconds:g}")
        decoder.feed(packet)
    return seen
