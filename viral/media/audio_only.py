"""Decoding of files without video, for plans that request only audio."""

from __future__ import annotations

from typing import TYPE_CHECKING

from viral.errors import EmptyWindowError, NoVideoStreamError
from viral.media.audio import AudioDecoder
from viral.media.clock import STRAY, Clock, declared_seconds
from viral.media.container import audio_stream, has_video, read_packets, start_of
from viral.media.facts import size_and_sha256
from viral.media.limits import MediaLimits
from viral.media.media import Facts, Media, Track
from viral.media.plan import SamplingPlan
from viral.media.requests import Request
from viral.media.trim import trim_audio

if TYPE_CHECKING:
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
    origin = start_of(container)
    decoder = AudioDecoder(stream, [request.rate for request in plan.audio_requests], limits.max_seconds, origin)
    clock = Clock(container, [stream], limits.max_seconds)
    for packet in read_packets(container):
        span = clock.span(packet)
        if packet.stream_index == stream.index and span is not STRAY:
            decoder.feed(packet)
    seen, truncated = clock.end, clock.is_truncated(plan.window)
    audio = decoder.finish()
    audio = audio and trim_audio(audio, plan.window)
    if plan.window:
        if plan.window.start >= seen:
            raise EmptyWindowError(f"there is no audio from {plan.window}: the audio lasts {seen:.3g} s")
        seen = plan.window.length(seen)
    declared = None if clock.strays else declared_seconds(container, plan.window)
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
    partial = [*(["truncated"] if truncated else []), *(["audio_failed"] if audio is None else [])]
    return Media(facts, tracks, tuple(partial))
