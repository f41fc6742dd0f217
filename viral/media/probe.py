"""First pass over a file: reads all packets, and decodes the audio and the first frame."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from viral.errors import TooLargeError, UnreadableError, UnsupportedCodecError
from viral.media.audio import AudioDecoder
from viral.media.clock import STRAY, Clock, Span, declared_seconds
from viral.media.colour import Colour, container_tags
from viral.media.container import audio_stream, read_packets, video_stream
from viral.media.damage import DamageCheck
from viral.media.geometry import FrameGeometry
from viral.media.index import FrameIndex, PacketInfo, build_index
from viral.media.limits import MIB, MediaLimits
from viral.media.media import Audio
from viral.media.pyav_frames import CodedVideo, decode_packet
from viral.media.trim import TrimmedTrack, trim_audio, trim_frames
from viral.media.window import ClipWindow

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.packet import Packet
    from av.stream import Stream
    from av.video.frame import VideoFrame

DEFAULT_FPS = 25.0  # for files without a frame rate; the value that ffmpeg assumes for raw streams

# Audio is decoded up to this long after a window, since decoders and resamplers delay their output.
AUDIO_MARGIN_SECONDS = 0.5

# Video packets up to this total size are kept in memory, so that the file is not read twice. Enough for short videos.
MAX_CACHED_BYTES = 64 * MIB


@dataclass(frozen=True)
class Probe:
    """Result of the first pass.

    `index` covers the whole video track, which decoding needs; everything else is trimmed to the window. `audio` has
    one track per rate; None if the audio could not be decoded. `truncated`: the file ends before its header says.
    `damaged`: a packet of the video is no picture. `audio_missing`: the header has an audio track, which is empty.
    """

    container: str
    video_codec: str
    audio_codec: str | None
    fps: float | None
    declared_seconds: float | None
    seen_seconds: float
    truncated: bool
    damaged: bool
    audio_missing: bool
    index: FrameIndex
    trimmed: TrimmedTrack
    geometry: FrameGeometry
    colour: Colour
    audio: dict[int, Audio] | None
    coded: CodedVideo


def probe(
    container: InputContainer,
    rates: Iterable[int],
    limits: MediaLimits,
    window: ClipWindow | None = None,
    *,
    seekable: bool = True,
) -> Probe:
    """Read an opened file once, with audio at these rates, as if it had been cut to the window.

    `seekable` is the argument with which it was opened.

    Raises:
        PostError: the file cannot be used; the class says why.
    """
    prober = _Prober(container, tuple(rates), limits, window)
    prober.read()
    return prober.result(seekable=seekable)


class _Prober:
    def __init__(
        self, container: InputContainer, rates: tuple[int, ...], limits: MediaLimits, window: ClipWindow | None
    ) -> None:
        self._container, self._limits, self._window = container, limits, window
        self._video, audio = video_stream(container), audio_stream(container)
        self._audio, self._audio_seen, self._has_audio = audio, False, False  # its packets decide
        self._container_tags = container_tags(self._video.codec_context)  # a decoded frame may reset them
        width, height = self._video.codec_context.width, self._video.codec_context.height
        # Before any frame is decoded, since decoding allocates it. `result` checks the size that frames really have.
        if width * height > limits.max_pixels:
            raise self._too_large(width, height)
        main = [stream for stream in (self._video, audio) if stream is not None]
        self._clock = Clock(container, main, limits.max_seconds)
        self._packets: list[PacketInfo] = []
        self._cached: list[Packet[Stream]] | None = []
        self._cached_bytes = 0
        self._first_frames: list[VideoFrame] = []
        self._fed = 0
        self._damaged, self._is_damaged = False, DamageCheck(self._video.codec_context)
        self._no_decoder = bool(rates) and audio is not None and audio.codec_context is None
        can_decode = bool(rates) and audio is not None and audio.codec_context is not None
        self._decoder = None
        if can_decode and audio is not None:
            self._decoder = AudioDecoder(audio, rates, limits.max_seconds, self._clock.origin)

    def read(self) -> None:
        """Read all packets of the file once, decoding the sound and the first frames."""
        # All streams, also those that are not used: the clock needs the end of each to tell whether the file is cut.
        for packet in read_packets(self._container):
            span = self._clock.span(packet)
            if packet.stream_index == self._video.index:
                self._add_video(packet, span)
            elif self._audio is not None and packet.stream_index == self._audio.index:
                self._add_audio(packet, span)

    def _too_large(self, width: int, height: int) -> TooLargeError:
        limit = f"media.max_pixels = {self._limits.max_pixels}"
        return TooLargeError(f"the video has frames of {width} x {height} pixels, more than {limit}")

    def result(self, *, seekable: bool) -> Probe:
        """Build the probe from the packets read. Raises UnreadableError if no frame could be decoded."""
        # A decoder with a delay returns the frame of a very short video only when it is flushed.
        if not self._first_frames:
            self._first_frames = decode_packet(self._video.codec_context, None)
        if not self._first_frames or all(packet.hidden for packet in self._packets):
            raise UnreadableError("no frame of the video could be decoded")
        fps = float(self._video.average_rate or 0) or None
        index = self._index(fps or DEFAULT_FPS)
        decoder, clock, window = self._video.codec_context, self._clock, self._window
        seen = clock.end
        geometry = FrameGeometry.of(self._first_frames[0], self._video.sample_aspect_ratio)
        if geometry.width * geometry.height > self._limits.max_pixels:
            raise self._too_large(geometry.width, geometry.height)
        truncated = clock.is_truncated(window)
        return Probe(
            container=self._container.format.name,
            video_codec=decoder.codec.canonical_name,
            audio_codec=self._audio_codec(),
            fps=fps,
            declared_seconds=None if clock.strays else declared_seconds(self._container, window),
            seen_seconds=window.length(seen) if window else seen,
            truncated=truncated,
            damaged=self._damaged,
            # The sound of a cut file may lie in the part that is gone.
            audio_missing=self._audio is not None and not self._audio_seen and not truncated,
            index=index,
            trimmed=trim_frames(index, window, seen),
            geometry=geometry,
            colour=Colour.of(self._first_frames[0], self._container_tags),
            audio=self._decoded_audio(),
            coded=CodedVideo(
                self._container.name, decoder, self._cached, self._fed, tuple(self._first_frames), seekable
            ),
        )

    def _index(self, fps: float) -> FrameIndex:
        return build_index(
            self._packets,
            time_base=self._clock.time_bases[self._video.index],
            origin=self._clock.origin,
            fps=fps,
            timed=self._container.format.name != "avi",  # AVI stores no times; ffmpeg may make up wrong ones
        )

    def _add_audio(self, packet: Packet[Stream], span: Span | None) -> None:
        # With a window, the file has sound only if a packet of it lies in the window.
        self._audio_seen, self._has_audio = True, self._has_audio or self._window is None
        if span is STRAY:
            return
        if self._window is not None:
            self._has_audio |= span is None or self._window.overlaps(*span)
            if span is not None and span[0] >= self._window.until + AUDIO_MARGIN_SECONDS:
                return
        if self._decoder is not None:
            self._decoder.feed(packet)

    def _add_video(self, packet: Packet[Stream], span: Span | None) -> None:
        if packet.is_keyframe and packet.has_sidedata("encryption_info"):
            raise UnsupportedCodecError("the video is encrypted")
        self._damaged |= self._is_damaged(packet)
        hidden = packet.is_discard or span is STRAY  # other frames may refer to it
        duration = self._clock.duration(packet)
        info = PacketInfo(packet.pts, packet.dts, duration, packet.size, packet.is_keyframe, hidden)
        self._packets.append(info)
        self._cache(packet)
        # Like players, skip packets that fail to decode until a first frame comes out.
        if not self._first_frames:
            self._first_frames = decode_packet(self._video.codec_context, packet)
            self._fed += 1

    def _cache(self, packet: Packet[Stream]) -> None:
        self._cached_bytes += packet.size
        # All or nothing: a part of the packets would still require a second read.
        if self._cached_bytes > MAX_CACHED_BYTES:
            self._cached = None
        if self._cached is not None:
            self._cached.append(packet)

    def _decoded_audio(self) -> dict[int, Audio] | None:
        # None: there is sound, but it cannot be decoded. An empty dict: there is none, or none was asked for.
        if self._no_decoder and self._audio_seen:
            return None
        if self._decoder is None or not self._has_audio:
            return {}
        audio = self._decoder.finish()
        return audio and trim_audio(audio, self._window)

    def _audio_codec(self) -> str | None:
        if self._audio is None or not self._has_audio:
            return None
        return self._audio.codec_context.codec.canonical_name if self._audio.codec_context is not None else "unknown"
