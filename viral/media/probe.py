"""The first pass over a file: all packets are read, the sound and one frame of the picture are decoded."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from viral.errors import TooLargeError, TooLongError, UnreadableError, UnsupportedCodecError
from viral.media.audio import SoundDecoder
from viral.media.container import picture_stream, read_packets, sound_stream
from viral.media.index import PacketFact, PictureIndex, build
from viral.media.limits import MIB, Limits
from viral.media.media import Audio
from viral.media.pyav_frames import CodedPicture, frames_of
from viral.media.trim import View, heard_through, seen_through
from viral.media.window import Window

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.container import InputContainer
    from av.packet import Packet
    from av.stream import Stream
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

RIGHT_ANGLE = 90
USUAL_FPS = 25.0

BEHIND_SECONDS = 0.5
"""So far behind a window its sound is still decoded: decoders and resamplers hold some back."""

HELD_BYTES = 64 * MIB
"""Up to here the packets of the picture stay in memory, so that the file is not read twice."""


@dataclass(frozen=True)
class Look:
    """What the first frame shows: its size as shown, and the quarter turns (counterclockwise) that show it upright."""

    width: int
    height: int
    turns: int
    plain: bool
    """Progressive, and 8 bits a sample."""

    @property
    def rotation(self) -> int:
        """Degrees counterclockwise, one of 0, 90, 180, 270."""
        return self.turns * RIGHT_ANGLE


@dataclass(frozen=True)
class Survey:
    """What the first pass learned. `sounds` has a track for each rate; None where the sound could not be decoded.

    `index` is of the whole picture, from which frames are decoded; all else is of what the window leaves, in `view` the
    picture too.
    """

    container: str
    video_codec: str
    audio_codec: str | None
    fps: float | None
    declared_seconds: float | None
    seen_seconds: float
    index: PictureIndex
    view: View
    look: Look
    sounds: dict[int, Audio] | None
    coded: CodedPicture


def survey(container: InputContainer, rates: Iterable[int], limits: Limits, window: Window | None = None) -> Survey:
    """Reads all of an opened file once, as if it had been cut to the window.

    Raises:
        PostError: the file cannot be used; the class says why.
    """
    picture, sound = picture_stream(container), sound_stream(container)
    _check_size(picture, limits)
    surveyor = _Surveyor(container, picture, sound, tuple(rates), limits, window)
    surveyor.read()
    return surveyor.result()


def quarter_turns(frame: VideoFrame) -> int:
    """How often to turn the frame counterclockwise by 90 degrees; angles that are none of these count as none."""
    return round(frame.rotation / RIGHT_ANGLE) % 4 if frame.rotation % RIGHT_ANGLE == 0 else 0


class _Surveyor:
    def __init__(
        self,
        container: InputContainer,
        picture: VideoStream,
        sound: AudioStream | None,
        rates: tuple[int, ...],
        limits: Limits,
        window: Window | None,
    ) -> None:
        self._container, self._picture, self._sound, self._limits = container, picture, sound, limits
        self._window, self._sounding = window, window is None
        self._ticks = [float(stream.time_base or 0) for stream in container.streams]
        self._zero = (container.start_time or 0) / 1e6
        self._packets: list[PacketFact] = []
        self._held: list[Packet[Stream]] | None = []
        self._held_bytes = 0
        self._begun: list[VideoFrame] = []
        self._fed = 0
        self._seen = 0.0
        self._sound_lost = bool(rates) and sound is not None and sound.codec_context is None
        hears = bool(rates) and sound is not None and sound.codec_context is not None
        self._decoder = SoundDecoder(sound, rates, limits.max_seconds) if hears and sound is not None else None

    def read(self) -> None:
        streams = [s for s in (self._picture, self._sound) if s is not None]
        for packet in read_packets(self._container, *streams):
            span = self._note_end(packet)
            if packet.stream_index == self._picture.index:
                self._note_picture(packet)
            else:
                self._note_sound(packet, span)

    def result(self) -> Survey:
        if not self._begun:
            self._begun = frames_of(self._picture.codec_context, None)
        if not self._begun or all(packet.hidden for packet in self._packets):
            raise UnreadableError("the picture decodes to no frame at all")
        fps = float(self._picture.average_rate or 0) or None
        index = self._index(fps or USUAL_FPS)
        return Survey(
            container=self._container.format.name,
            video_codec=self._picture.codec_context.codec.canonical_name,
            audio_codec=self._audio_codec(),
            fps=fps,
            declared_seconds=declared_seconds(self._container, self._window),
            seen_seconds=self._window.length(self._seen) if self._window else self._seen,
            index=index,
            view=seen_through(index, self._window, self._seen),
            look=_look(self._begun[0]),
            sounds=self._sounds(),
            coded=CodedPicture(
                self._container.name, self._picture.codec_context, self._held, self._fed, tuple(self._begun)
            ),
        )

    def _index(self, fps: float) -> PictureIndex:
        # AVI stores no times of presentation: ffmpeg makes them up, and wrongly for packed B-frames.
        timed = self._container.format.name != "avi"
        tick = self._ticks[self._picture.index]
        return build(self._packets, tick=tick, zero=self._zero, fps=fps, timed=timed)

    def _note_end(self, packet: Packet[Stream]) -> tuple[float, float] | None:
        """When the packet is shown or heard, in seconds from where to where; None where it does not say."""
        ticks = packet.pts if packet.pts is not None else packet.dts
        if ticks is None:
            return None
        tick = self._ticks[packet.stream_index]
        start, end = ticks * tick - self._zero, (ticks + (packet.duration or 0)) * tick - self._zero
        self._seen = max(self._seen, end)
        if self._seen > self._limits.max_seconds:
            raise TooLongError(f"lasts longer than media.max_seconds = {self._limits.max_seconds:g}")
        return start, end

    def _note_sound(self, packet: Packet[Stream], span: tuple[float, float] | None) -> None:
        if self._window is not None:
            self._sounding |= span is None or self._window.touches(*span)
            if span is not None and span[0] >= self._window.until + BEHIND_SECONDS:
                return
        if self._decoder is not None:
            self._decoder.feed(packet)

    def _note_picture(self, packet: Packet[Stream]) -> None:
        if packet.is_keyframe and packet.has_sidedata("encryption_info"):
            raise UnsupportedCodecError("the picture is encrypted")
        fact = PacketFact(
            packet.pts, packet.dts, packet.duration or 0, packet.size, packet.is_keyframe, packet.is_discard
        )
        self._packets.append(fact)
        self._hold(packet)
        # Packets that fail are passed over until there is a first frame, as players do.
        if not self._begun:
            self._begun = frames_of(self._picture.codec_context, packet)
            self._fed += 1

    def _hold(self, packet: Packet[Stream]) -> None:
        self._held_bytes += packet.size
        if self._held_bytes > HELD_BYTES:
            self._held = None
        if self._held is not None:
            self._held.append(packet)

    def _sounds(self) -> dict[int, Audio] | None:
        if self._sound_lost:
            return None
        if self._decoder is None or not self._sounding:
            return {}
        sounds = self._decoder.finish()
        return sounds and heard_through(sounds, self._window, self._decoder.begins(self._zero))

    def _audio_codec(self) -> str | None:
        if self._sound is None or not self._sounding:
            return None
        return self._sound.codec_context.codec.canonical_name if self._sound.codec_context is not None else "unknown"


def _check_size(picture: VideoStream, limits: Limits) -> None:
    pixels = picture.codec_context.width * picture.codec_context.height
    if pixels > limits.max_pixels:
        raise TooLargeError(
            f"the picture has {picture.codec_context.width} x {picture.codec_context.height} pixels, more than "
            f"media.max_pixels = {limits.max_pixels}"
        )


def declared_seconds(container: InputContainer, window: Window | None) -> float | None:
    """How long the header says that the file lasts, or the window of it; None where it does not say."""
    if not container.duration or container.duration <= 0:
        return None
    seconds = container.duration / 1e6
    return (window.length(seconds) or None) if window else seconds


def _look(first: VideoFrame) -> Look:
    turns = quarter_turns(first)
    size = (first.width, first.height)
    return Look(*(size[::-1] if turns % 2 else size), turns, _plain(first))


def _plain(frame: VideoFrame) -> bool:
    return not frame.interlaced_frame and max(component.bits for component in frame.format.components) <= 8
