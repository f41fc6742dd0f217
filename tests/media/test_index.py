from __future__ import annotations

import numpy as np

from viral.media.index import FrameIndex, PacketInfo, build_index


def reordered() -> FrameIndex:
    """Two open groups of pictures at 10 fps, in the order of the file: I0 P3 B1 B2, I6 B4 B5 P7."""
    shown = [0, 3, 1, 2, 6, 4, 5, 7]
    return build_index([PacketInfo(n, None, 1, 10 + n, n in (0, 6)) for n in shown], time_base=0.1, origin=0.0, fps=10)


def test_presentation_order_is_not_that_of_the_file() -> None:
    index = reordered()
    np.testing.assert_allclose(index.pts_seconds, np.arange(8) / 10)
    assert index.sizes.tolist() == [10 + n for n in range(8)]
    assert index.positions.tolist() == [0, 2, 3, 1, 5, 6, 4, 7]
    assert index.key_frames.tolist() == [0, 6]
    assert index.exact
    assert abs(index.end - 0.8) < 1e-9


def test_a_frame_that_leads_a_key_frame_is_decoded_from_the_key_frame_before() -> None:
    index = reordered()
    assert [index.decode_start(frame) for frame in range(8)] == [0, 0, 0, 0, 0, 0, 4, 4]
    assert not index.closed_gops


def test_the_frame_shown_at_a_time_is_the_last_that_has_begun() -> None:
    shown = reordered().frame_at(np.array([-1.0, 0.0, 0.05, 0.0999, 0.11, 99.0]))
    assert shown.tolist() == [0, 0, 0, 1, 1, 7]


def test_packets_without_times_are_spread_by_the_frame_rate() -> None:
    index = build_index([PacketInfo(None, None, 0, 1, n == 0) for n in range(4)], time_base=0.001, origin=2.0, fps=20)
    np.testing.assert_allclose(index.pts_seconds, [0, 0.05, 0.1, 0.15])
    assert not index.exact
    assert abs(index.end - 0.2) < 1e-9


def test_hidden_packets_are_not_shown_but_keep_their_place() -> None:
    facts = [PacketInfo(n - 2, None, 1, 1, n == 0, hidden=n < 2) for n in range(5)]
    index = build_index(facts, time_base=0.1, origin=0.0, fps=10)
    assert index.positions.tolist() == [2, 3, 4]
    assert index.pts_seconds[0] == 0.0
    assert index.decode_start(0) == 0
    assert not index.closed_gops
