"""Decoding of files without video, for plans that need only their audio."""

from __future__ import annotations

from typing import TYPE_CHECKING

from viral.errors import EmptyWindowError, NoVideoStreamError, TooLongError
from viral.media.audio import AudioDecoder
from viral.media.container import audio_stream, has_video, read_packets
from viral.media.facts import is_truncated, size_and_sha256
from viral.media.limits import MediaLimits
from viral.media.media import Facts, Media
from viral.media.plan import SamplingPlan
from viral.media.probe import declared_seconds
from viral.media.trim import trim_audio
from viral.media.window import ClipWindow

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.container import InputContainer


def is_audio_only(container: InputContainer, plan: SamplingPlan) -> bool:
    """Whether the plan needs only audio, and the file has no video: an mp3, for example."""
    needs_only_audio = plan.audio_requests and not plan.frame_requests and not plan.packet_requests
    return bool(needs_only_audio) and not has_video(container) and audio_stream(container) is not None


def decode_audio_only(path: str, container: InputContainer, plan: SamplingPlan, limits: MediaLimits) -> Media:
    """Answer the audio requests of a plan.

    Raises:
        TooLongError: the file is longer than the limit.
        EmptyWindowError: the plan's window lies behind the end of the file.
        NoVideoStreamError: there is no decoder for its audio either.
    """
    stream = audio_stream(container)
    if stream is None or stream.codec_context is None:
        raise NoVideoStreamError("no moving picture, and no sound that a decoder here knows")
    decoder = AudioDecoder(stream, [request.rate for request in plan.audio_requests], limits.max_seconds)
    zero = (container.start_time or 0) / 1e6
    seen = _decode(container, stream, decoder, limits, zero)
    audio = decoder.finish()
    audio = audio and trim_audio(audio, plan.window, decoder.start_seconds(zero))
    if plan.window:
        seen = _trimmed_length(plan.window, seen)
    declared = declared_seconds(container, plan.window)
    size, sha256 = size_and_sha256(path)
    facts = Facts(
        container=container.format.name,
        audio_codec=stream.codec_context.codec.canonical_name,
        declared_seconds=declared,
        seen_seconds=seen,
        bytes=size,
        sha256=sha256,
    )
    partial = [*(["truncated"] if is_truncated(declared, seen) else []), *(["audio_failed"] if audio is None else [])]
    return Media(
        facts, {request: audio[request.rate] for request in plan.audio_requests} if audio else {}, tuple(partial)
    )


def _trimmed_length(window: ClipWindow, seen: float) -> float:
    if window.start >= seen:
        raise EmptyWindowError(f"there is no sound from {window}: it lasts {seen:.3g} s")
    return window.length(seen)


def _decode(
    container: InputContainer, stream: AudioStream, decoder: AudioDecoder, limits: MediaLimits, zero: float
) -> float:
    """Decode all packets, and return where the last one ends, in seconds."""
    tick, seen = float(stream.time_base or 0), 0.0
    for packet in read_packets(container, stream):
        start = packet.pts if packet.pts is not None else packet.dts
        if start is not None:
            seen = max(seen, (start + (packet.duration or 0)) * tick - zero)
        if seen > limits.max_seconds:
            raise TooLongError(f"lasts longer than media.max_seconds = {limits.max_seconds:g}")
        decoder.feed(packet)
    return seen
