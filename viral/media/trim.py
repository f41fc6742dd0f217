"""What a window leaves of the tracks of a file. Nothing is encoded anew: a view only says what counts."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from viral.errors import EmptyWindowError
from viral.media.index import EARLY, Bools, PictureIndex
from viral.media.media import Audio, PacketTrack
from viral.media.window import Window


@dataclass(frozen=True)
class View:
    """The frames of a picture track that count: frame n of `index` is frame `first` + n of the file.

    Times count from the window's start. `key` bool (P,) says which are key frames in the file; in `index` the first
    counts as one too, as it would in a file that was cut there.
    """

    index: PictureIndex
    key: Bools
    first: int = 0

    @property
    def packets(self) -> PacketTrack:
        """The coded track. Its key flags are the file's: the first packet may be small, as no first one is."""
        return PacketTrack(self.index.pts_seconds, self.index.sizes, self.key)


def seen_through(index: PictureIndex, window: Window | None, seen_seconds: float) -> View:
    """The frames that a window shows: the one on the screen when it starts, and those that begin before it stops.

    Args:
        index: of the whole track.
        window: None for all of it.
        seen_seconds: where the last packet of the file ends; if only sound is left, the last picture stays.

    Raises:
        EmptyWindowError: it shows none.
    """
    if window is None:
        return View(index, index.key)
    first = int(index.shown_at(np.array([window.start]))[0])
    last = int(np.searchsorted(index.pts_seconds, window.until - EARLY))
    if window.start >= seen_seconds or last <= first:
        ends = f"the video lasts from {index.pts_seconds[0]:.3g} s to {max(index.end, seen_seconds):.3g} s"
        raise EmptyWindowError(f"there is no picture from {window}: {ends}")
    end = index.end if index.end > window.start else seen_seconds
    key = index.key[first:last]
    shown = replace(
        index,
        pts_seconds=np.maximum(index.pts_seconds[first:last] - window.start, 0.0),
        sizes=index.sizes[first:last],
        key=np.concatenate([np.ones(1, np.bool_), key[1:]]),
        coded=index.coded[first:last],
        ticks=index.ticks[first:last],
        end=window.length(end),
    )
    return View(shown, key, first)


def heard_through(sounds: dict[int, Audio], window: Window | None, begins: float) -> dict[int, Audio]:
    """The samples of each track that a window leaves; without those tracks of which it leaves none.

    Args:
        sounds: by their rates.
        window: None for all of it.
        begins: the time in seconds of the first sample.
    """
    if window is None:
        return sounds
    cut = {rate: _samples(audio, window, begins) for rate, audio in sounds.items()}
    return {rate: audio for rate, audio in cut.items() if len(audio.samples)}


def _samples(audio: Audio, window: Window, begins: float) -> Audio:
    start = max(0, round((window.start - begins) * audio.rate))
    stop = None if window.stop is None else max(0, round((window.stop - begins) * audio.rate))
    return Audio(audio.samples[start:stop].copy(), audio.rate)
