"""Sound to mono float32, at any number of rates from one decode."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from viral.errors import UnreadableError
from viral.media.container import opened, read_packets, sound_stream
from viral.media.limits import Limits
from viral.media.media import Audio

if TYPE_CHECKING:
    from av.audio.frame import AudioFrame
    from av.audio.resampler import AudioResampler
    from av.audio.stream import AudioStream
    from av.packet import Packet
    from av.stream import Stream

Samples = npt.NDArray[np.float32]

BLOCK = 8192
"""Samples that leave the resampler at a time: codecs give about a thousand, and each array costs as much as they do."""

TOLERATED = 0.1
"""The share of packets that may fail to decode before the sound counts as failed."""


class SoundDecoder:
    """Takes the packets of one sound track and turns them into `Audio`, one for each rate.

    Mono is the mean of the channels. Packets that fail are left out, as players do; so is what lies
    behind `max_seconds`.
    """

    def __init__(self, stream: AudioStream, rates: Iterable[int], max_seconds: float) -> None:
        import av

        self._stream = stream
        self._max_seconds = max_seconds
        self._resamplers: dict[int, AudioResampler] = {
            rate: av.AudioResampler(format="fltp", rate=rate, frame_size=BLOCK) for rate in rates
        }
        self._parts: dict[int, list[Samples]] = {rate: [] for rate in self._resamplers}
        self._kept = dict.fromkeys(self._resamplers, 0)
        self._fed = 0
        self._wrong = 0
        self._begun = False
        self._begins: float | None = None

    def feed(self, packet: Packet[Stream] | None) -> None:
        """Decodes one packet; None flushes the decoder."""
        import av

        self._fed += 1
        try:
            for frame in self._stream.codec_context.decode(packet):
                self._resample(frame)
        except MemoryError:
            raise
        except (av.error.FFmpegError, ValueError):
            self._wrong += 1

    def begins(self, zero: float) -> float:
        """The time of the first sample in seconds after `zero`, both by the file's clock; 0 where it is not known."""
        return 0.0 if self._begins is None else self._begins - zero

    def finish(self) -> dict[int, Audio] | None:
        """The sound at each rate; None where it could not be decoded."""
        import av

        self.feed(None)
        try:
            if self._begun:
                self._resample(None)
        except MemoryError:
            raise
        except (av.error.FFmpegError, ValueError):
            self._wrong += 1
        if self._wrong > TOLERATED * self._fed or not all(self._kept.values()):
            return None
        return {rate: Audio(_in_range(np.concatenate(parts)), rate) for rate, parts in self._parts.items()}

    def _resample(self, frame: AudioFrame | None) -> None:
        if not self._begun and frame is not None:
            self._begins = frame.time
        self._begun = True
        for rate, resampler in self._resamplers.items():
            for part in resampler.resample(frame):
                # ffmpeg's own way to mono adds the channels at -3 dB each, which clips what both have in common.
                self._keep(rate, part.to_ndarray().mean(axis=0, dtype=np.float32))

    def _keep(self, rate: int, samples: Samples) -> None:
        room = max(0, round(self._max_seconds * rate) - self._kept[rate])
        kept = samples[:room]
        self._kept[rate] += len(kept)
        self._parts[rate].append(kept)


def _in_range(samples: Samples) -> Samples:
    # Float codecs may hold anything: NaN, and peaks beyond full scale.
    return np.clip(np.nan_to_num(samples, copy=False), -1.0, 1.0)


def read_audio(path: str, rate: int, limits: Limits) -> Audio:
    """The sound of any media file, also one without a picture, in this process: for files one trusts.

    Raises:
        UnreadableError: there is no sound in it that can be decoded.
    """
    with opened(path) as container:
        stream = sound_stream(container)
        if stream is None or stream.codec_context is None:
            raise UnreadableError("the file holds no sound that can be decoded")
        decoder = SoundDecoder(stream, [rate], limits.max_seconds)
        for packet in read_packets(container, stream):
            decoder.feed(packet)
        sounds = decoder.finish()
    if sounds is None:
        raise UnreadableError("the sound could not be decoded")
    return sounds[rate]
