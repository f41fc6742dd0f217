"""First pass over a file: reads all packets, and decodes the audio and the first frame."""

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
    from av.container import InputContainer
    from av.packet import Packet
    from av.stream import Stream
    from av.video.frame import VideoFrame

RIGHT_ANGLE = 90
DEFAULT_FPS = 25.0  # for files without a frame rate; the value that ffmpeg assumes for raw streams

# Audio is decoded up to this long after a window, since decoders and resamplers delay their output.
AUDIO_MARGIN_SECONDS = 0.5

# Video packets up to this total size are kept in memory, so that the file is not read twice. Enough for short videos.
MAX_CACHED_BYTES = 64 * MIB


@dataclass(frozen=True)
class FrameGeometry:
    """Size of the upright frames, and the counterclockwise quarter turns that make them upright."""

    width: int
    height: int
    turns: int
    progressive_8bit: bool
    """Progressive, and 8 bits per component."""

    @property
    def rotation(self) -> int:
        """Degrees counterclockwise, one of 0, 90, 180, 270."""
        return self.turns * RIGHT_ANGLE


@dataclass(frozen=True)
class Probe:
    """Result of the first pass.

    `index` covers the whole video track, which decoding needs; everything else is trimmed to the window. `audio` has
    one track per rate; None if the audio could not be decoded.
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
    """Read an opened file once, with audio at these rates, as if it had been cut to the window.

    Raises:
        PostError: the file cannot be used; the class says why.
    """
    prober = _Prober(container, tuple(rates), limits, window)
    prober.read()
    return prober.result()


def quarter_turns(frame: VideoFrame) -> int:
    """Return the counterclockwise quarter turns that make a frame upright; 0 for angles between them."""
    return round(frame.rotation / RIGHT_ANGLE) % 4 if frame.rotation % RIGHT_ANGLE == 0 else 0


class _Prober:
    def __init__(
        self, container: InputContainer, rates: tuple[int, ...], limits: MediaLimits, window: ClipWindow | None
    ) -> None:
        self._container, self._limits, self._window = container, limits, window
        self._video, audio = video_stream(container), audio_stream(container)
        self._audio, self._has_audio = audio, window is None  # with a window, its packets decide
        width, height = self._video.codec_context.width, self._video.codec_context.height
        if width * height > limits.max_pixels:
            size = f"{width} x {height} pixels"
            raise TooLargeError(f"the video has frames of {size}, more than media.max_pixels = {limits.max_pixels}")
        self._time_bases = [float(stream.time_base or 0) for stream in container.streams]
        self._origin = (container.start_time or 0) / 1e6
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
            raise UnreadableError("no frame of the video could be decoded")
        fps = float(self._video.average_rate or 0) or None
        index = build_index(
            self._packets,
            time_base=self._time_bases[self._video.index],
            origin=self._origin,
            fps=fps or DEFAULT_FPS,
            timed=self._container.format.name != "avi",  # AVI stores no times; ffmpeg may make up wrong ones
        )
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

    def _time_span(self, packet: Packet[Stream]) -> tuple[float, float] | None:
        """Return start and end of a packet in seconds, if it has a time; update and check the file's length."""
        pts = packet.pts if packet.pts is not None else packet.dts
        if pts is None:
            return None
        time_base = self._time_bases[packet.stream_index]
        start, end = pts * time_base - self._origin, (pts + (packet.duration or 0)) * time_base - self._origin
        self._seen_seconds = max(self._seen_seconds, end)
        if self._seen_seconds > self._limits.max_seconds:
            raise TooLongError(f"the file is longer than media.max_seconds = {self._limits.max_seconds:g}")
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
            raise UnsupportedCodecError("the video is encrypted")
        info = PacketInfo(
            packet.pts, packet.dts, packet.duration or 0, packet.size, packet.is_keyframe, packet.is_discard
        )
        self._packets.append(info)
        self._cache(packet)
        # Like players, skip packets that fail to decode until a first frame comes out.
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
        return audio and trim_audio(audio, self._window, self._decoder.start_seconds(self._origin))

    def _audio_codec(self) -> str | None:
        if self._audio is None or not self._has_audio:
            return None
        return self._audio.codec_context.codec.canonical_name if self._audio.codec_context is not None else "unknown"


def declared_seconds(container: InputContainer, window: ClipWindow | None) -> float | None:
    """Return the duration in the header, trimmed to the window, or None if the header has none."""
    if not container.duration or container.duration <= 0:
        return None
    seconds = container.duration / 1e6
    return (window.length(seconds) or None) if window else seconds


def _geometry(first: VideoFrame) -> FrameGeometry:
    turns = quarter_turns(first)
    size = (first.width, first.height)
    plain = not first.interlaced_frame and max(component.bits for component in first.format.components) <= 8
    return FrameGeometry(*(size[::-1] if turns % 2 else size), turns, plain)
