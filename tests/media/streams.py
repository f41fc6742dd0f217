"""Files with some of the streams of another, and files of sound alone."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np

SECONDS = 8.3
"""How long a tone lasts."""


def kinds(path: Path) -> set[str]:
    """Kinds of the streams of a file: `video`, `audio`, …"""
    with av.open(str(path)) as container:
        return {stream.type for stream in container.streams}


def copy_streams(source: Path, kind: str, folder: Path) -> Path:
    """Copy the streams of one kind (`video` or `audio`), packet by packet, into a file of their own."""
    target = folder / f"{source.stem}-{kind}.mp4"
    with av.open(str(source)) as original, av.open(str(target), "w") as copy:
        old = next(stream for stream in original.streams if stream.type == kind)
        new = copy.add_stream_from_template(old)
        for packet in original.demux(old):
            if packet.dts is not None:
                packet.stream = new
                copy.mux(packet)
    return target


def write_tone(path: Path, amplitude: float = 0.5) -> str:
    """Encode a tone; the suffix of the path decides how."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libmp3lame" if path.suffix == ".mp3" else "pcm_s16le", rate=44100, layout="mono")
        tone = amplitude * np.sin(2 * np.pi * 440 * np.arange(round(SECONDS * 44100)) / 44100)
        frame = av.AudioFrame.from_ndarray((tone * 32767).astype("<i2")[None], format="s16", layout="mono")
        frame.sample_rate = 44100
        container.mux([*stream.encode(frame), *stream.encode(None)])
    return str(path)
