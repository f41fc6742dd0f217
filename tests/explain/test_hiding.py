from __future__ import annotations

import numpy as np

from viral.explain.hiding import GREY, hide
from viral.media.media import Audio, ClipBatch, Facts, FrameBatch, Media, PacketTrack
from viral.media.requests import AudioTrack, Clips, Frames, Packets
from viral.media.window import ClipWindow

STILLS, OPENING = Frames(count=5, size=(2, 2)), Frames(every=0.5, size=(2, 2), stop=1.0)
CLIPS, SOUND = Clips(count=2, frames=2, step=0.5, size=(2, 2)), AudioTrack(10)
PART = ClipWindow(1.0, 3.0)
TIMES = np.array([0.0, 1.0, 2.0, 3.0, 4.0])


def frames(values: list[int]) -> np.ndarray:
    return np.array(values, np.uint8)[:, None, None, None] * np.ones((1, 2, 2, 3), np.uint8)


def media(inside: int) -> Media:
    """Five seconds; all that lies from 1 s up to 3 s is made of that number."""
    return Media(
        Facts(seen_seconds=5.0),
        {
            STILLS: FrameBatch(frames([10, inside, inside + 1, 13, 14]), TIMES),
            OPENING: FrameBatch(frames([20, 21]), np.array([0.0, 0.5])),
            CLIPS: ClipBatch(
                np.stack([frames([30, inside]), frames([inside, 33])]), np.array([[0.5, 1.0], [2.5, 3.0]])
            ),
            SOUND: Audio(
                np.where((np.arange(50) >= 10) & (np.arange(50) < 30), inside / 99, 0.5).astype(np.float32), 10
            ),
            Packets(): PacketTrack(
                TIMES, np.array([900, inside, 7 * inside, 40, 60]), np.array([True, True, False, False, False])
            ),
        },
    )


def values(batch: FrameBatch | ClipBatch | None) -> list[int]:
    assert batch is not None
    return batch.data[..., 0, 0, 0].ravel().tolist()


def test_the_picture_stands_still_and_the_sound_is_silent() -> None:
    result = hide(media(77), PART)
    assert values(result.frames(STILLS)) == [10, 10, 10, 13, 14]
    assert values(result.frames(OPENING)) == [20, 21]
    assert values(result.clips(CLIPS)) == [30, 30, 30, 33]
    audio, packets = result.audio(SOUND), result.packets(Packets())
    assert audio is not None and packets is not None
    assert audio.samples.tolist() == [0.5] * 10 + [0.0] * 20 + [0.5] * 20
    assert packets.sizes.tolist() == [900, 900, 50, 40, 60]
    assert result.facts == media(77).facts


def test_nothing_of_a_hidden_part_is_left() -> None:
    first, second = hide(media(77), PART), hide(media(5), PART)
    for request, track in first.tracks.items():
        for name, array in vars(track).items():
            np.testing.assert_array_equal(array, getattr(second.tracks[request], name))


def test_what_was_decoded_stays_as_it_is() -> None:
    before = media(77)
    hide(before, PART)
    for request, track in media(77).tracks.items():
        for name, array in vars(track).items():
            np.testing.assert_array_equal(array, getattr(before.tracks[request], name))


def test_the_opening_shows_what_follows_it_and_all_of_it_is_grey() -> None:
    assert values(hide(media(77), ClipWindow(0.0, 1.0)).frames(STILLS)) == [77, 77, 78, 13, 14]
    whole = hide(media(77), ClipWindow(0.0))
    assert values(whole.frames(STILLS)) == [GREY] * 5
    audio, packets = whole.audio(SOUND), whole.packets(Packets())
    assert audio is not None and packets is not None
    assert not audio.samples.any()
