"""Encoding of a clip as an mp4 file: h264 and AAC, which every browser plays."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from viral.demo.plan import Clip
from viral.demo.scenes import frames
from viral.demo.sound import RATE, Samples, make_sound
from viral.demo.spec import CorpusSpec

if TYPE_CHECKING:
    from av import AudioStream, Packet, VideoStream

_KEY_FRAME_SECONDS = 5  # between key frames of a scene without cuts, at most
_AUDIO_FRAME = 1024  # samples per frame of AAC
_AAC = {"aac_coder": "fast"}  # the default one takes as long as the rest of a small clip, for a gain that nobody hears


def render(clip: Clip, spec: CorpusSpec, path: Path) -> None:
    """Write the clip to a temporary file and rename it to `path`, so that a file there is always complete.

    Raises:
        OSError: the folder cannot be written.
    """
    temporary = path.with_suffix(".part")
    _encode(clip, spec, temporary)
    temporary.replace(path)


def _encode(clip: Clip, spec: CorpusSpec, path: Path) -> None:
    import av

    with av.open(str(path), "w", format="mp4", options={"movflags": "+faststart"}) as container:
        picture = container.add_stream("libx264", rate=spec.fps, options=_x264(spec))
        picture.height, picture.width = spec.size
        picture.pix_fmt = "yuv420p"
        streams: list[Iterator[Packet[Any]]] = [_picture_packets(picture, clip, spec)]
        if clip.sound is not None:
            track = container.add_stream("aac", rate=RATE, layout="mono", bit_rate=48000, options=_AAC)
            samples = make_sound(clip.sound, clip.frames / spec.fps, corpus_seed=spec.seed)
            streams.append(_sound_packets(track, samples))
        # Interleaved by time, as players and decoders expect.
        for packet in sorted((packet for stream in streams for packet in stream), key=_decode_time):
            container.mux(packet)


def _x264(spec: CorpusSpec) -> dict[str, str]:
    # One thread gives the same bytes on every run; clips are encoded in parallel. superfast is the fastest preset that
    # places key frames at cuts, as real encoders do; a high scenecut also finds cuts between flat frames.
    key_frames = f"keyint={_KEY_FRAME_SECONDS * spec.fps}:min-keyint=2:scenecut=90"
    return {"preset": "superfast", "crf": "30", "threads": "1", "x264-params": key_frames}


def _picture_packets(stream: VideoStream, clip: Clip, spec: CorpusSpec) -> Iterator[Packet[Any]]:
    import av

    for index, picture in enumerate(frames(clip, spec.size, spec.fps)):
        frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
        frame.pts, frame.time_base = index, Fraction(1, spec.fps)
        yield from stream.encode(frame)
    yield from stream.encode(None)


def _sound_packets(stream: AudioStream, samples: Samples) -> Iterator[Packet[Any]]:
    import av

    for start in range(0, len(samples), _AUDIO_FRAME):
        frame = av.AudioFrame.from_ndarray(samples[None, start : start + _AUDIO_FRAME], format="fltp", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = RATE, start, Fraction(1, RATE)
        yield from stream.encode(frame)
    yield from stream.encode(None)


def _decode_time(packet: Packet[Any]) -> Fraction:
    if packet.dts is None or packet.time_base is None:
        raise ValueError("an encoder returned a packet without a time")
    return packet.dts * packet.time_base
