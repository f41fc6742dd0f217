"""Decoding of audio to mono float32, at one or more sampling rates in one pass."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from viral.errors import UnreadableError
from viral.media.container import audio_stream, open_container, read_packets
from viral.media.limits import MediaLimits
from viral.media.media import Audio

if TYPE_CHECKING:
    from av.audio.frame import AudioFrame
    from av.audio.resampler import AudioResampler
    from av.audio.stream import AudioStream
    from av.packet import Packet
    from av.stream import Stream

Samples = npt.NDArray[np.float32]

# Samples per resampled frame. Codecs give about a thousand, and each array costs nearly the same whatever its size.
FRAME_SAMPLES = 8192

# Players skip a few damaged packets too; above this fraction of failed packets, the audio counts as failed.
MAX_FAILED_FRACTION = 0.1


class AudioDecoder:
    """Decoder of one audio track, with one `Audio` per rate.

    Mono is the mean of the channels. Packets that fail to decode are skipped, and samples after `max_seconds` dropped.
    """

    def __init__(self, stream: AudioStream, rates: Iterable[int], max_seconds: float) -> None:
        import av

        self._stream = stream
        self._max_seconds = max_seconds
        self._resamplers: dict[int, AudioResampler] = {
            rate: av.AudioResampler(format="fltp", rate=rate, frame_size=FRAME_SAMPLES) for rate in rates
        }
        self._blocks: dict[int, list[Samples]] = {rate: [] for rate in self._resamplers}
        self._num_samples = dict.fromkeys(self._resamplers, 0)
        self._fed = 0
        self._failed = 0
        self._started = False
        self._start: float | None = None

    def feed(self, packet: Packet[Stream] | None) -> None:
        """Decode one packet, or flush the decoder with None."""
        import av

        self._fed += 1
        try:
            for frame in self._stream.codec_context.decode(packet):
                self._resample(frame)
        except MemoryError:
            raise
        except (av.error.FFmpegError, ValueError):
            self._failed += 1

    def start_seconds(self, origin: float) -> float:
        """Return the time of the first sample in seconds after `origin` on the clock of the file; 0 if unknown."""
        return 0.0 if self._start is None else self._start - origin

    def finish(self) -> dict[int, Audio] | None:
        """Flush the decoder and return the audio at each rate, or None if it could not be decoded."""
        import av

        self.feed(None)
        try:
            if self._started:
                self._resample(None)
        except MemoryError:
            raise
        except (av.error.FFmpegError, ValueError):
            self._failed += 1
        if self._failed > MAX_FAILED_FRACTION * self._fed or not all(self._num_samples.values()):
            return None
        # Float codecs may hold any value: NaN, and peaks beyond full scale.
        samples = {rate: np.nan_to_num(np.concatenate(blocks), copy=False) for rate, blocks in self._blocks.items()}
        return {rate: Audio(np.clip(values, -1.0, 1.0), rate) for rate, values in samples.items()}

    def _resample(self, frame: AudioFrame | None) -> None:
        if not self._started and frame is not None:
            self._start = frame.time
        self._started = True
        for rate, resampler in self._resamplers.items():
            for block in resampler.resample(frame):
                # Not ffmpeg's downmix, which adds the channels at -3 dB each and so clips what they have in common.
                self._append(rate, block.to_ndarray().mean(axis=0, dtype=np.float32))

    def _append(self, rate: int, samples: Samples) -> None:
        space = max(0, round(self._max_seconds * rate) - self._num_samples[rate])
        samples = samples[:space]
        self._num_samples[rate] += len(samples)
        self._blocks[rate].append(samples)


def read_audio(path: str, rate: int, limits: MediaLimits) -> Audio:
    """Decode the audio of a trusted media file, with or without video, in this process.

    Raises:
        UnreadableError: the file has no audio that can be decoded.
    """
    with open_container(path) as container:
        stream = audio_stream(container)
        if stream is None or stream.codec_context is None:
            raise UnreadableError("the file has no audio that can be decoded")
        decoder = AudioDecoder(stream, [rate], limits.max_seconds)
        for packet in read_packets(container, stream):
            decoder.feed(packet)
        audio = decoder.finish()
    if audio is None:
        raise UnreadableError("the audio could not be decoded")
    return audio[rate]
