from __future__ import annotations

import numpy as np
import pytest

from viral.media.index import FrameIndex, PacketInfo, build_index
from viral.media.requests import Clips, Frames, hook
from viral.media.sampling import sample_frames

SIZE = (8, 8)


def steady(frames: int, keys: tuple[int, ...], fps: int = 10) -> FrameIndex:
    return build_index(
        [PacketInfo(n, n, 1, 1, n in keys) for n in range(frames)], time_base=1 / fps, origin=0.0, fps=fps
    )


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        (Frames(SIZE, count=4), [1, 3, 6, 8]),
        (Frames(SIZE, count=1), [5]),
        (Frames(SIZE, count=2, start=0.5), [6, 8]),
        (Frames(SIZE, every=0.25), [0, 2, 5, 7]),
        (Frames(SIZE, every=0.3, start=0.2, stop=0.8), [2, 5]),
        (Frames(SIZE, every=0.5, stop=9.0), [0, 5]),
        (hook(seconds=0.3, every=0.1, size=SIZE), [0, 1, 2]),
        (Frames(SIZE, count=3, start=2.0), []),
        (Frames(SIZE, count=3, choice="key"), [0, 4, 8]),
        (Frames(SIZE, count=2, choice="key"), [4, 8]),
        (Frames(SIZE, count=5, choice="key"), [0, 4, 8]),
        (Frames(SIZE, count=5, choice="key", start=0.5, stop=0.7), [4]),
        (Frames(SIZE, count=5, choice="key", start=0.3, stop=0.6), [4]),
    ],
)
def test_frames_of_a_second_at_ten_a_second(request_: Frames, expected: list[int]) -> None:
    assert sample_frames(request_, steady(10, (0, 4, 8))).tolist() == expected


def test_key_frames_are_distinct_and_in_order_where_they_crowd() -> None:
    index = steady(100, (0, 1, 2, 3, 4, 99))
    assert sample_frames(Frames(SIZE, count=4, choice="key"), index).tolist() == [2, 3, 4, 99]


def test_clips_begin_at_key_frames_near_the_beginnings_of_equal_parts() -> None:
    clips = Clips(count=2, frames=4, step=0.2, size=SIZE)
    numbers = sample_frames(clips, steady(30, (0, 12, 20)))
    assert numbers.tolist() == [[0, 2, 4, 6], [12, 14, 16, 18]]


def test_clips_repeat_the_last_frame() -> None:
    numbers = sample_frames(Clips(count=2, frames=4, step=0.2, size=SIZE), steady(30, (12, 28)))
    assert numbers.tolist() == [[12, 14, 16, 18], [28, 29, 29, 29]]


def test_uniform_clips_lie_within_the_video() -> None:
    numbers = sample_frames(Clips(count=2, frames=5, step=0.1, size=SIZE, choice="uniform"), steady(20, (0,)))
    assert numbers.tolist() == [[2, 3, 4, 5, 6], [12, 13, 14, 15, 16]]
    longer = sample_frames(Clips(count=1, frames=5, step=0.1, size=SIZE, choice="uniform"), steady(2, (0,)))
    assert longer.tolist() == [[0, 1, 1, 1, 1]]


def test_a_step_that_is_no_whole_number_of_ticks_takes_every_second_frame() -> None:
    # 30 fps as Matroska writes it, in milliseconds: 0, 33, 67, 100 …
    facts = [PacketInfo(round(n * 1000 / 30), None, 33, 1, n == 0) for n in range(60)]
    numbers = sample_frames(
        Clips(count=1, frames=16, step=1 / 15, size=SIZE), build_index(facts, time_base=1e-3, origin=0, fps=30)
    )
    assert np.diff(numbers[0]).tolist() == [2] * 15


def test_sampling_goes_by_time_where_the_frame_rate_varies() -> None:
    # Ten frames in the first second, one a second from there.
    ticks = [*range(10), 10, 20, 30]
    index = build_index([PacketInfo(t, t, 1, 1, t == 0) for t in ticks], time_base=0.1, origin=0.0, fps=4)
    assert sample_frames(Frames(SIZE, every=1.0), index).tolist() == [0, 10, 11, 12]


def test_random_clips_begin_a_little_behind_key_frames_and_within_the_video() -> None:
    index, seen = steady(300, (0, 90, 250)), set()
    for seed in range(40):
        clips = Clips(count=2, frames=4, step=0.2, size=SIZE, choice="random", seed=seed)
        numbers = sample_frames(clips, index)
        assert np.array_equal(numbers, sample_frames(clips, index))
        assert numbers.shape == (2, 4)
        assert np.diff(numbers, axis=1).tolist() == [[2, 2, 2]] * 2
        starts = numbers[:, 0]
        assert all(any(0 <= start - key <= 8 for key in (0, 90, 250)) for start in starts)
        seen.update(starts.tolist())
    assert len(seen) > 15


def test_random_clips_of_a_short_video_repeat_key_frames_and_the_last_frame() -> None:
    clips = Clips(count=3, frames=4, step=0.2, size=SIZE, choice="random", seed=1)
    assert sample_frames(clips, steady(4, (0,))).tolist() == [[0, 2, 3, 3]] * 3


def test_clips_take_a_seed_where_they_are_random_and_nowhere_else() -> None:
    with pytest.raises(ValueError, match="takes a seed"):
        Clips(count=1, frames=4, step=0.2, size=SIZE, choice="random")
    with pytest.raises(ValueError, match="takes a seed"):
        Clips(count=1, frames=4, step=0.2, size=SIZE, seed=1)
