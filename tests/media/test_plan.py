from __future__ import annotations

import numpy as np

from viral.media.index import PacketInfo, build_index
from viral.media.plan import SamplingPlan, shapes_by_frame
from viral.media.pyav_frames import packet_ranges
from viral.media.requests import AudioTrack, Clips, Frames, Packets


def test_requests_are_kept_once_and_in_order() -> None:
    stills, sound = Frames((8, 8), count=2), AudioTrack()
    plan = SamplingPlan.from_requests([stills, sound, Frames((8, 8), count=2), Packets(), AudioTrack(16000)])
    assert plan.requests == (stills, sound, Packets())
    assert (plan.frame_requests, plan.audio_requests, plan.packet_requests) == ((stills,), (sound,), (Packets(),))


def test_a_frame_wanted_twice_in_one_shape_is_resized_once() -> None:
    numbers = {
        Frames((8, 8), count=2): np.array([3, 1]),
        Clips(count=1, frames=2, step=1, size=(8, 8)): np.array([[3, 3]]),
        Frames((4, 4), count=1): np.array([3]),
        Frames((8, 8), count=1, fit="inside"): np.array([9]),
    }
    assert shapes_by_frame(numbers) == {
        1: (((8, 8), "crop"),),
        3: (((8, 8), "crop"), ((4, 4), "crop")),
        9: (((8, 8), "inside"),),
    }


def test_runs_reach_from_a_key_frame_to_the_last_wanted_frame() -> None:
    index = build_index([PacketInfo(n, n, 1, 1, n % 10 == 0) for n in range(50)], time_base=0.1, origin=0.0, fps=10)
    found = [(run.first, run.last) for run in packet_ranges([3, 5, 12, 40], index)]
    assert found == [(0, 5), (10, 12), (40, 40)]
    assert [(run.first, run.last) for run in packet_ranges([9, 12], index)] == [(0, 12)]
