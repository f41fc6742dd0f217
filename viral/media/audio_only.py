"""Decoding of the sound of a file alone: of files without video, and of the sounds of photo sets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from viral.errors import EmptyWindowError, NoVideoStreamError
from viral.media.audio import AudioDecoder
from viral.media.clock import STRAY, Clock, declared_seconds
from viral.media.container import audio_stream, has_video, read_packets, start_of
from viral.media.facts import size_and_sha256
from viral.media.limits import MediaLimits
from viral.media.media import Audio, Facts, Media, Track
from viral.media.plan import SamplingPlan
from viral.media.requests import Request
from viral.media.trim import trim_audio
from viral.media.window import ClipWindow

if TYPE_CHECKING:
    from av.container import InputContainer


def is_audio_only(container: InputContainer, plan: SamplingPlan) -> bool:
    """Whether the plan requests only audio and the file has no video, for example an MP3 file."""
    requests_only_audio = plan.audio_requests and not plan.frame_requests and not plan.packet_requests
    return bool(requests_only_audio) and not has_video(container) and audio_stream(container) is not None


@dataclass(frozen=True)
class DecodedSound:
    """The sound of a file: its codec, its length in `seconds` and as the header says, and audio at each rate.

    `audio` is None if it could not be decoded. `truncated`: the file ends before its header says.
    """

    codec: str
    seconds: float
    declared_seconds: float | None
    truncated: bool
    audio: dict[int, Audio] | None


def decode_sound(
    container: InputContainer, rates: Sequence[int], limits: MediaLimits, window: ClipWindow | None = None
) -> DecodedSound:
    """Read the whole sound of a file, and decode it at each of `rates` (samples per second).

    Raises:
        TooLongError: the file is longer than the limit.
        NoVideoStreamError: the file has no sound, or there is no decoder for its codec.
    """
    stream = audio_stream(container)
    if stream is None or stream.codec_context is None:
        raise NoVideoStreamError("the file has no sound for whose codec there is a decoder")
    decoder = AudioDecoder(stream, rates, limits.max_seconds, start_of(container)) if rates else None
    clock = Clock(container, [stream], limits.max_seconds)
    for packet in read_packets(container):
        span = clock.span(packet)
        if decoder and packet.stream_index == stream.index and span is not STRAY:
            decoder.feed(packet)
    return DecodedSound(
        codec=stream.codec_context.codec.canonical_name,
        seconds=clock.end,
        declared_seconds=None if clock.strays else declared_seconds(container, window),
        # After the last packet: only then is it known how far the file really goes.
        truncated=clock.is_truncated(window),
        audio=decoder.finish() if decoder else {},
    )


def decode_audio_only(path: str, container: InputContainer, plan: SamplingPlan, limits: MediaLimits) -> Media:
    """Answer the audio requests of a plan.

    Raises:
        TooLongError: the file is longer than the limit.
        EmptyWindowError: the window of the plan starts after the end of the file.
        NoVideoStreamError: there is no decoder for the audio codec.
    """
    sound = decode_sound(container, [request.rate for request in plan.audio_requests], limits, plan.window)
    audio, seen = sound.audio and trim_audio(sound.audio, plan.window), sound.seconds
    if plan.window:
        # Checked here, since without frames nothing else notices a window behind the end.
        if plan.window.start >= seen:
            raise EmptyWindowError(f"there is no audio from {plan.window}: the audio lasts {seen:.3g} s")
        seen = plan.window.length(seen)
    size, sha256 = size_and_sha256(path)
    facts = Facts(
        container=container.format.name,
        audio_codec=sound.codec,
        declared_seconds=sound.declared_seconds,
        seen_seconds=seen,
        bytes=size,
        sha256=sha256,
    )
    tracks: dict[Request, Track] = {request: audio[request.rate] for request in plan.audio_requests} if audio else {}
    partial = [*(["truncated"] if sound.truncated else []), *(["audio_failed"] if audio is None else [])]
    return Media(facts, tracks, tuple(partial))
