"""Decoding of files without video, for plans that request only audio."""

from __future__ import annotations

from typing import TYPE_CHECKING

from viral.errors import EmptyWindowError, NoVideoStreamError, TooLongError
from viral.media.audio import AudioDecoder
from viral.media.container import audio_stream, has_video, read_packets
from viral.media.facts import is_truncated, size_and_sha256
from viral.media.limits import MediaLimits
from viral.media.media import Facts, Media, Track
from viral.media.plan import SamplingPlan
from viral.media.probe import declared_seconds
from viral.media.requests import Request
from viral.media.trim import trim_audio

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.container import InputContainer


def is_audio_only(container: InputContainer, plan: SamplingPlan) -> bool:
    """Whether the plan requests only audio and the file has no video, for example an MP3 file."""
    requests_only_audio = plan.audio_requests and not plan.frame_requests and not plan.packet_requests
    return bool(requests_only_audio) and not has_video(container) and audio_stream(container) is not None


def decode_audio_only(path: str, container: InputContainer, plan: SamplingPlan, limits: MediaLimits) -> Media:
    """Answer the audio requests of a plan.

    Raises:
        TooLongError: the file is longer than the limit.
        EmptyWindowError: the window of the plan starts after the end of the file.
        NoVideoStreamError: there is no decoder for the audio codec.
    """
    stream = audio_stream(container)
    if stream is None or stream.codec_context is None:
        raise NoVideoStreamError("no video stream, and no decoder for the audio codec")
    decoder = AudioDecoder(stream, [request.rate for request in plan.audio_requests], limits.max_seconds)
    origin = (container.start_time or 0) / 1e6
    seen = _decode(container, stream, decoder, limits, origin)
    audio = decoder.finish()
    audio = audio and trim_audio(audio, plan.window, decoder.start_seconds(origin))
    if plan.window:
        if plan.window.start >= seen:
            raise EmptyWindowError(f"there is no audio from {plan.window}: the audio lasts {seen:.3g} s")
        seen = plan.window.length(seen)
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
    tracks: dict[Request, Track] = {request: audio[request.rate] for request in plan.audio_requests} if audio else {}
    partial = [*(["truncated"] if is_truncated(declared, seen) else []), *(["audio_failed"] if audio is None else [])]
    return Media(facts, tracks, tuple(partial))


def _decode(
    container: InputContainer, stream: AudioStream, decoder: AudioDecoder, limits: MediaLimits, origin: float
) -> float:
    """Decode all packets, and return the end of the last one in seconds."""
    time_base, seen = float(stream.time_base or 0), 0.0
    for packet in read_packets(container, stream):
        start = packet.pts if packet.pts is not None else packet.dts
        if start is not None:
            seen = max(seen, (start + (packet.duration or 0)) * time_base - origin)
        if seen > limits.max_seconds:
            raise TooLongError(f"the audio is longer than media.max_seconds = {limits.max_seconds:g}")
        decoder.feed(packet)
    return seen
