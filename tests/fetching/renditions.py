"""A short video with sound as one file, as HLS and as DASH."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np

SECONDS, FPS, RATE = 3, 10, 16000


def write(path: Path, *, pictures: bool = True, sound: bool = True, codec: str = "libx264", **options: str) -> Path:
    """Encode a moving picture and a tone; the name and the options say how they are packed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w", options=options) as container:
        video = container.add_stream(codec, rate=FPS, options={"g": str(FPS), "bf": "0"}) if pictures else None
        audio = container.add_stream("aac", rate=RATE, layout="mono") if sound else None
        if video is not None:
            video.width, video.height, video.pix_fmt = 64, 64, "yuv420p"
        for number in range(SECONDS * FPS):
            if video is not None:
                frame = av.VideoFrame.from_ndarray(np.full((64, 64, 3), 8 * number, np.uint8), format="rgb24")
                frame.pts = number
                container.mux(video.encode(frame))
            if audio is not None:
                times = np.arange(number * RATE // FPS, (number + 1) * RATE // FPS) / RATE
                tone = (0.5 * np.sin(2 * np.pi * 440 * times)).astype(np.float32)
                samples = av.AudioFrame.from_ndarray(tone[None], format="fltp", layout="mono")
                samples.sample_rate, samples.pts = RATE, number * RATE // FPS
                container.mux(audio.encode(samples))
        for stream in (video, audio):
            container.mux(stream.encode(None) if stream is not None else [])
    return path


def write_hls(folder: Path, **options: str) -> Path:
    """A playlist of segments of one second."""
    return write(folder / "list.m3u8", hls_time="1", hls_playlist_type="vod", **options)


def write_hls_apart(folder: Path) -> Path:
    """A playlist of two playlists, one of pictures and one of sound."""
    packed = {"hls_time": "1", "hls_playlist_type": "vod"}
    write(folder / "pictures.m3u8", sound=False, **packed)
    write(folder / "sound.m3u8", pictures=False, **packed)
    (folder / "list.m3u8").write_text(
        '#EXTM3U\n#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",NAME="a",DEFAULT=YES,URI="sound.m3u8"\n'
        '#EXT-X-STREAM-INF:BANDWIDTH=90000,CODECS="avc1.42c00a,mp4a.40.2",AUDIO="a"\npictures.m3u8\n'
    )
    return folder / "list.m3u8"


def write_dash(folder: Path) -> Path:
    """A manifest with pictures and sound apart, in segments of one second."""
    return write(folder / "manifest.mpd", seg_duration="1", use_timeline="0")
