"""Decoding of audio to mono float32, at one or more sampling rates in one pass."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from viral.errors import UnreadableError
from viral.media.container import audio_stream, open_container, read_packets, start_of
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

# Sound that is this much late is noticed (ITU-R BT.1359). Smaller gaps are rounding of the container.
MAX_GAP_SECONDS = 0.045


class AudioDecoder:
    """Decoder of one audio track, with one `Audio` per rate. The first sample is at time 0 of the file.

    Mono is the mean of the channels. Packets that fail to decode are skipped, and samples after `max_seconds` dropped.
    Silence fills the time before a late first sample and the gaps, as in a player.

    Args:
        stream: the track.
        rates: sampling rates to convert it to.
        max_seconds: limit on its length.
        origin: time in seconds, on the clock of the file, that becomes 0.
    """

    def __init__(self, stream: AudioStream, rates: Iterable[int], max_seconds: float, origin: float = 0.0) -> None:
        self._stream, self._max_seconds, self._origin = stream, max_seconds, origin
        self._blocks: dict[int, list[Samples]] = {rate: [] for rate in rates}
        self._num_samples = dict.fromkeys(self._blocks, 0)
        self._resamplers: dict[int, AudioResampler] = {}
        self._format: tuple[str, str, int] | None = None
        self._end = 0.0  # time of the end of the samples so far, in seconds
        self._fed = 0
        self._failed = 0

    def feed(self, packet: Packet[Stream] | None) -> None:
        """Decode one packet, or flush the decoder with None."""
        import av

        self._fed += 1
        try:
            for frame in self._stream.codec_context.decode(packet):
                self._add(frame)
        except MemoryError:
            raise
        except (av.error.FFmpegError, ValueError):
            self._failed += 1

    def finish(self) -> dict[int, Audio] | None:
        """Flush the decoder and return the audio at each rate, or None if it could not be decoded."""
        import av

        self.feed(None)
        try:
            self._resample(None)
        except MemoryError:
            raise
        except (av.error.FFmpegError, ValueError):
            self._failed += 1
        # No sample at some rate counts as a failure, too: an extractor could do nothing with an empty track.
        if self._failed > MAX_FAILED_FRACTION * self._fed or not all(self._num_samples.values()):
            return None
        # Float codecs may hold any value: NaN, and peaks beyond full scale.
        samples = {rate: np.nan_to_num(np.concatenate(blocks), copy=False) for rate, blocks in self._blocks.items()}
        return {rate: Audio(np.clip(values, -1.0, 1.0), rate) for rate, values in samples.items()}

    def _add(self, frame: AudioFrame) -> None:
        form = (frame.format.name, frame.layout.name, frame.sample_rate)
        if form != self._format:  # the first frame, or a track that changes in the middle
            self._resample(None)
            self._resamplers, self._format = _resamplers(self._blocks), form
        # Limited, since a wrong time would fill the memory with silence.
        gap = 0.0 if frame.time is None else min(frame.time - self._origin, self._max_seconds) - self._end
        if gap > MAX_GAP_SECONDS:
            for silence in _silence(frame, gap):
                self._resample(silence)
            self._end += gap
        self._resample(frame)
        self._end += frame.samples / frame.sample_rate

    def _resample(self, frame: AudioFrame | None) -> None:
        for rate, resampler in self._resamplers.items():
            for block in resampler.resample(frame):
                # Not ffmpeg's downmix, which adds the channels at -3 dB each and so clips what they have in common.
                self._append(rate, block.to_ndarray().mean(axis=0, dtype=np.float32))

    def _append(self, rate: int, samples: Samples) -> None:
        # By samples, not by times, which a damaged file may state wrongly.
        space = max(0, round(self._max_seconds * rate) - self._num_samples[rate])
        samples = samples[:space]
        self._num_samples[rate] += len(samples)
        self._blocks[rate].append(samples)


def _resamplers(rates: Iterable[int]) -> dict[int, AudioResampler]:
    import av

    return {rate: av.AudioResampler(format="fltp", rate=rate, frame_size=FRAME_SAMPLES) for rate in rates}


def _silence(like: AudioFrame, seconds: float) -> Iterator[AudioFrame]:
    """Yield silent frames in the format of another one."""
    import av

    samples = round(seconds * like.sample_rate)
    while samples > 0:
        frame = av.AudioFrame(like.format.name, like.layout.name, min(samples, FRAME_SAMPLES))
        for plane in frame.planes:
            # Unsigned samples are silent in the middle of their range.
            plane.update((b"\x80" if like.format.name.startswith("u8") else b"\0") * plane.buffer_size)
        frame.sample_rate, frame.pts = like.sample_rate, None
        yield frame
        samples -= frame.samples


def read_audio(path: str, rate: int, limits: MediaLimits) -> Audio:
    """Decode the audio of a trusted media file, with or without video, in this process.

    Raises:
        UnreadableError: the file has no audio that can be decoded.
    """
    with open_container(path) as container:
        stream = audio_stream(container)
        if stream is None or stream.codec_context is None:
            raise UnreadableError("the file has no audio that can be decoded")
        decoder = AudioDecoder(stream, [rate], limits.max_seconds, start_of(container))
        for packet in read_packets(container, stream):
            decoder.feed(packet)
        audio = decoder.finish()
    if audio is None:
        raise UnreadableError("the audio could not be decoded")
    return audio[rate]
