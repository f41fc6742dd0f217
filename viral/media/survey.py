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

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.container import InputContainer
    from av.packet import Packet
    from av.stream import Stream
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

RIGHT_ANGLE = 90
USUAL_FPS = 25.0

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
    """What the first pass learned. `sounds` has a track for each rate; None where the sound could not be decoded."""

    container: str
    video_codec: str
    audio_codec: str | None
    fps: float | None
    declared_seconds: float | None
    seen_seconds: float
    index: PictureIndex
    look: Look
    sounds: dict[int, Audio] | None
    coded: CodedPicture


def survey(container: InputContainer, rates: Iterable[int], limits: Limits) -> Survey:
    """Reads all of an opened file once.

    Raises:
        PostError: the file cannot be used; the class says why.
    """
    picture, sound = picture_stream(container), sound_stream(container)
    _check_size(picture, limits)
    surveyor = _Surveyor(container, picture, sound, tuple(rates), limits)
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
    ) -> None:
        self._container, self._picture, self._sound, self._limits = container, picture, sound, limits
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
            self._note_end(packet)
            if packet.stream_index == self._picture.index:
                self._note_picture(packet)
            elif self._decoder is not None:
                self._decoder.feed(packet)

    def result(self) -> Survey:
        if not self._begun:
            self._begun = frames_of(self._picture.codec_context, None)
        if not self._begun or all(packet.hidden for packet in self._packets):
            raise UnreadableError("the picture decodes to no frame at all")
        fps = float(self._picture.average_rate or 0) or None
        return Survey(
            container=self._container.format.name,
            video_codec=self._picture.codec_context.codec.canonical_name,
            audio_codec=self._audio_codec(),
            fps=fps,
            declared_seconds=_declared(self._container),
            seen_seconds=self._seen,
            index=self._index(fps or USUAL_FPS),
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

    def _note_end(self, packet: Packet[Stream]) -> None:
        start = packet.pts if packet.pts is not None else packet.dts
        if start is None:
            return
        end = (start + (packet.duration or 0)) * self._ticks[packet.stream_index] - self._zero
        self._seen = max(self._seen, end)
        if self._seen > self._limits.max_seconds:
            raise TooLongError(f"lasts longer than media.max_seconds = {self._limits.max_seconds:g}")

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
        return self._decoder.finish() if self._decoder is not None else {}

    def _audio_codec(self) -> str | None:
        if self._sound is None:
            return None
        return self._sound.codec_context.codec.canonical_name if self._sound.codec_context is not None else "unknown"


def _check_size(picture: VideoStream, limits: Limits) -> None:
    pixels = picture.codec_context.width * picture.codec_context.height
    if pixels > limits.max_pixels:
        raise TooLargeError(
            f"the picture has {picture.codec_context.width} x {picture.codec_context.height} pixels, more than "
            f"media.max_pixels = {limits.max_pixels}"
        )


def _declared(container: InputContainer) -> float | None:
    return container.duration / 1e6 if container.duration and container.duration > 0 else None


def _look(first: VideoFrame) -> Look:
    turns = quarter_turns(first)
    size = (first.width, first.height)
    return Look(*(size[::-1] if turns % 2 else size), turns, _plain(first))


def _plain(frame: VideoFrame) -> bool:
    return not frame.interlaced_frame and max(component.bits for component in frame.format.components) <= 8
