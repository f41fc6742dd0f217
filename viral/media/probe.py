"""First pass over a file: reads all packets, decodes the audio and the first frame."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from viral.errors import TooLargeError, TooLongError, UnreadableError, UnsupportedCodecError
from viral.media.audio import AudioDecoder
from viral.media.container import audio_stream, read_packets, video_stream
from viral.media.index import FrameIndex, PacketInfo, build_index
from viral.media.limits import MIB, MediaLimits
from viral.media.media import Audio
from viral.media.pyav_frames import CodedVideo, decode_packet
from viral.media.trim import TrimmedTrack, trim_audio, trim_frames
from viral.media.window import ClipWindow

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.container import InputContainer
    from av.packet import Packet
    from av.stream import Stream
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

RIGHT_ANGLE = 90
DEFAULT_FPS = 25.0  # for files without a frame rate; what ffmpeg assumes for raw streams

# Audio is decoded up to this far behind a window, since decoders and resamplers delay their output.
AUDIO_MARGIN_SECONDS = 0.5

# Video packets are kept up to this total, so that the file is not read twice. Enough for short videos.
MAX_CACHED_BYTES = 64 * MIB


@dataclass(frozen=True)
class FrameGeometry:
    """Size of the frames as shown, and the counterclockwise quarter turns that show them upright."""

    width: int
    height: int
    turns: int
    plain: bool
    """Progressive, and 8 bits per component."""

    @property
    def rotation(self) -> int:
        """Degrees counterclockwise, one of 0, 90, 180, 270."""
        return self.turns * RIGHT_ANGLE


@dataclass(frozen=True)
class Probe:
    """Result of the first pass. `audio` has a track per rate; None where the audio could not be decoded.

    `index` covers the whole video track, as decoding needs it; everything else is trimmed to the window, the track as
    `trimmed`.
    """

    container: str
    video_codec: str
    audio_codec: str | None
    fps: float | None
    declared_seconds: float | None
    seen_seconds: float
    index: FrameIndex
    trimmed: TrimmedTrack
    geometry: FrameGeometry
    audio: dict[int, Audio] | None
    coded: CodedVideo


def probe(
    container: InputContainer, rates: Iterable[int], limits: MediaLimits, window: ClipWindow | None = None
) -> Probe:
    """Read all of an opened file once, as if it had been cut to the window.

    Raises:
        PostError: the file cannot be used; the class says why.
    """
    video, audio = video_stream(container), audio_stream(container)
    _check_size(video, limits)
    prober = _Prober(container, video, audio, tuple(rates), limits, window)
    prober.read()
    return prober.result()


def quarter_turns(frame: VideoFrame) -> int:
    """Counterclockwise quarter turns that show the frame upright; other angles count as none."""
    return round(frame.rotation / RIGHT_ANGLE) % 4 if frame.rotation % RIGHT_ANGLE == 0 else 0


class _Prober:
    def __init__(
        self,
        container: InputContainer,
        video: VideoStream,
        audio: AudioStream | None,
        rates: tuple[int, ...],
        limits: MediaLimits,
        window: ClipWindow | None,
    ) -> None:
        self._container, self._video, self._audio, self._limits = container, video, audio, limits
        self._window, self._has_audio = window, window is None
        self._ticks = [float(stream.time_base or 0) for stream in container.streams]
        self._zero = (container.start_time or 0) / 1e6
        self._packets: list[PacketInfo] = []
        self._cached: list[Packet[Stream]] | None = []
        self._cached_bytes = 0
        self._first_frames: list[VideoFrame] = []
        self._fed = 0
        self._seen_seconds = 0.0
        self._no_decoder = bool(rates) and audio is not None and audio.codec_context is None
        can_decode = bool(rates) and audio is not None and audio.codec_context is not None
        self._decoder = AudioDecoder(audio, rates, limits.max_seconds) if can_decode and audio is not None else None

    def read(self) -> None:
        streams = [s for s in (self._video, self._audio) if s is not None]
        for packet in read_packets(self._container, *streams):
            span = self._time_span(packet)
            if packet.stream_index == self._video.index:
                self._add_video(packet)
            else:
                self._add_audio(packet, span)

    def result(self) -> Probe:
        if not self._first_frames:
            self._first_frames = decode_packet(self._video.codec_context, None)
        if not self._first_frames or all(packet.hidden for packet in self._packets):
            raise UnreadableError("the picture decodes to no frame at all")
        fps = float(self._video.average_rate or 0) or None
        index = self._index(fps or DEFAULT_FPS)
        decoder = self._video.codec_context
        return Probe(
            container=self._container.format.name,
            video_codec=decoder.codec.canonical_name,
            audio_codec=self._audio_codec(),
            fps=fps,
            declared_seconds=declared_seconds(self._container, self._window),
            seen_seconds=self._window.length(self._seen_seconds) if self._window else self._seen_seconds,
            index=index,
            trimmed=trim_frames(index, self._window, self._seen_seconds),
            geometry=_geometry(self._first_frames[0]),
            audio=self._decoded_audio(),
            coded=CodedVideo(self._container.name, decoder, self._cached, self._fed, tuple(self._first_frames)),
        )

    def _index(self, fps: float) -> FrameIndex:
        # AVI stores no presentation times: ffmpeg invents them, and wrongly for packed B-frames.
        timed = self._container.format.name != "avi"
        tick = self._ticks[self._video.index]
        return build_index(self._packets, tick=tick, zero=self._zero, fps=fps, timed=timed)

    def _time_span(self, packet: Packet[Stream]) -> tuple[float, float] | None:
        """Start and end of a packet in seconds; None where it has no time. The end counts towards the file's length."""
        ticks = packet.pts if packet.pts is not None else packet.dts
        if ticks is None:
            return None
        tick = self._ticks[packet.stream_index]
        start, end = ticks * tick - self._zero, (ticks + (packet.duration or 0)) * tick - self._zero
        self._seen_seconds = max(self._seen_seconds, end)
        if self._seen_seconds > self._limits.max_seconds:
            raise TooLongError(f"lasts longer than media.max_seconds = {self._limits.max_seconds:g}")
        return start, end

    def _add_audio(self, packet: Packet[Stream], span: tuple[float, float] | None) -> None:
        if self._window is not None:
            self._has_audio |= span is None or self._window.overlaps(*span)
            if span is not None and span[0] >= self._window.until + AUDIO_MARGIN_SECONDS:
                return
        if self._decoder is not None:
            self._decoder.feed(packet)

    def _add_video(self, packet: Packet[Stream]) -> None:
        if packet.is_keyframe and packet.has_sidedata("encryption_info"):
            raise UnsupportedCodecError("the picture is encrypted")
        info = PacketInfo(
            packet.pts, packet.dts, packet.duration or 0, packet.size, packet.is_keyframe, packet.is_discard
        )
        self._packets.append(info)
        self._cache(packet)
        # Like players, skip packets that fail to decode until there is a first frame.
        if not self._first_frames:
            self._first_frames = decode_packet(self._video.codec_context, packet)
            self._fed += 1

    def _cache(self, packet: Packet[Stream]) -> None:
        self._cached_bytes += packet.size
        if self._cached_bytes > MAX_CACHED_BYTES:
            self._cached = None
        if self._cached is not None:
            self._cached.append(packet)

    def _decoded_audio(self) -> dict[int, Audio] | None:
        if self._no_decoder:
            return None
        if self._decoder is None or not self._has_audio:
            return {}
        audio = self._decoder.finish()
        return audio and trim_audio(audio, self._window, self._decoder.start_seconds(self._zero))

    def _audio_codec(self) -> str | None:
        if self._audio is None or not self._has_audio:
            return None
        return self._audio.codec_context.codec.canonical_name if self._audio.codec_context is not None else "unknown"


def _check_size(video: VideoStream, limits: MediaLimits) -> None:
    width, height = video.codec_context.width, video.codec_context.height
    if width * height > limits.max_pixels:
        raise TooLargeError(
            f"the picture has {width} x {height} pixels, more than media.max_pixels = {limits.max_pixels}"
        )


def declared_seconds(container: InputContainer, window: ClipWindow | None) -> float | None:
    """Duration by the header, of the file or of the window of it; None where the header has none."""
    if not container.duration or container.duration <= 0:
        return None
    seconds = container.duration / 1e6
    return (window.length(seconds) or None) if window else seconds


def _geometry(first: VideoFrame) -> FrameGeometry:
    turns = quarter_turns(first)
    size = (first.width, first.height)
    plain = not first.interlaced_frame and max(component.bits for component in first.format.components) <= 8
    return FrameGeometry(*(size[::-1] if turns % 2 else size), turns, plain)
