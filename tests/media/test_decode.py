from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.media.conftest import Make
from viral.errors import MissingObjectError, TooLargeError, TooLongError, UnreadableError
from viral.media.clock import is_truncated
from viral.media.decode import decode
from viral.media.limits import MediaLimits
from viral.media.media import ClipBatch, FrameBatch
from viral.media.plan import SamplingPlan
from viral.media.requests import Clips, Frames, Packets, hook

STILLS = Frames(count=4, size=(32, 32))
KEYS = Frames(count=4, size=(32, 32), choice="key")
OPENING = hook(seconds=1.0, every=0.25, size=(32, 32))
CLIPS = Clips(count=3, frames=4, step=0.1, size=(32, 32))


def test_an_answer_does_not_depend_on_what_else_is_asked(paths: list[str]) -> None:
    requests = [STILLS, KEYS, OPENING, CLIPS, Packets()]
    together = decode(paths[0], SamplingPlan.from_requests(requests), MediaLimits())
    for request in requests:
        alone = decode(paths[0], SamplingPlan.from_requests([request]), MediaLimits()).tracks[request]
        track = together.tracks[request]
        assert isinstance(track, FrameBatch | ClipBatch) == isinstance(alone, FrameBatch | ClipBatch)
        np.testing.assert_array_equal(alone.pts_seconds, track.pts_seconds)
        if isinstance(track, FrameBatch | ClipBatch):
            # Key frames alone are read by decord, and resized otherwise.
            assert np.abs(alone.data.astype(int) - track.data).mean() < (1.5 if request is KEYS else 1e-9)


def test_key_frames_alone_are_read_by_decord_and_all_else_by_pyav(paths: list[str]) -> None:
    for request, decoder in ((KEYS, "decord"), (OPENING, "pyav"), (CLIPS, "pyav"), (STILLS, "pyav")):
        assert decode(paths[0], SamplingPlan.from_requests([request]), MediaLimits()).facts.decoder == decoder
    assert decode(paths[0], SamplingPlan.from_requests([KEYS, OPENING]), MediaLimits()).facts.decoder == "pyav"


def test_wanted_times_get_the_frame_on_the_screen(make: Make) -> None:
    media = decode(make("numbered.mp4"), SamplingPlan.from_requests([Frames(every=0.1, size=(96, 160))]), MediaLimits())
    batch = media.frames(Frames(every=0.1, size=(96, 160)))
    assert batch is not None
    numbers = (batch.data[:, 2:14, 2:14].mean((1, 2, 3)) / 4).round().astype(int)
    assert numbers.tolist() == list(range(0, 48, 3))
    np.testing.assert_allclose(batch.pts_seconds, numbers / 30, atol=1e-4)


def test_variable_frame_rates_keep_their_times(find: Callable[[str], str]) -> None:
    media = decode(
        find("cursed-vfr.mp4"), SamplingPlan.from_requests([Packets(), Frames(every=1.0, size=(8, 8))]), MediaLimits()
    )
    packets, batch = media.packets(Packets()), media.frames(Frames(every=1.0, size=(8, 8)))
    assert packets is not None and batch is not None
    steps = np.diff(packets.pts_seconds)
    assert steps.max() > 3 * steps.min()
    for second, pts in enumerate(batch.pts_seconds):
        assert pts == packets.pts_seconds[packets.pts_seconds <= second + 1e-3].max()


def test_rotated_files_come_out_upright(find: Callable[[str], str]) -> None:
    request = Frames(count=1, size=(90, 90), fit="inside")
    media = decode(find("rotate-buck-bunny.mp4"), SamplingPlan.from_requests([request]), MediaLimits())
    batch = media.frames(request)
    assert batch is not None
    assert (media.facts.width, media.facts.height, media.facts.rotation) == (1080, 1920, 270)
    assert batch.data.shape == (1, 160, 90, 3)


def test_facts(paths: list[str]) -> None:
    facts = decode(paths[0], SamplingPlan.from_requests([KEYS]), MediaLimits()).facts
    content = Path(paths[0]).read_bytes()
    assert (facts.bytes, facts.sha256) == (len(content), hashlib.sha256(content).hexdigest())
    assert (facts.video_codec, facts.audio_codec) == ("h264", "aac")
    assert facts.declared_seconds == pytest.approx(facts.seen_seconds, abs=0.2)


def test_a_download_that_broke_off_is_partial(paths: list[str], tmp_path: Path) -> None:
    path = tmp_path / "cut.mp4"
    content = Path(paths[0]).read_bytes()
    path.write_bytes(content[: len(content) * 6 // 10])
    media = decode(str(path), SamplingPlan.from_requests([STILLS, KEYS]), MediaLimits())
    assert media.partial == ("truncated",)
    assert media.facts.seen_seconds is not None and media.facts.declared_seconds is not None
    assert media.facts.seen_seconds < 0.8 * media.facts.declared_seconds
    stills = media.frames(STILLS)
    assert stills is not None and len(stills.data) == 4
    assert stills.pts_seconds.max() < media.facts.seen_seconds


def test_a_download_that_lost_its_index_is_unreadable(make: Make, tmp_path: Path) -> None:
    path = tmp_path / "cut.mp4"
    content = Path(make("whole.mp4")).read_bytes()
    assert content.find(b"moov") > len(content) // 2
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(UnreadableError):
        decode(str(path), SamplingPlan.from_requests([STILLS]), MediaLimits())


@pytest.mark.parametrize(
    ("limits", "error"),
    [
        (MediaLimits(max_bytes=1000), TooLargeError),
        (MediaLimits(max_pixels=100_000), TooLargeError),
        (MediaLimits(max_seconds=1.0), TooLongError),
    ],
)
def test_limits(paths: list[str], limits: MediaLimits, error: type[Exception]) -> None:
    with pytest.raises(error, match=r"media\.max_"):
        decode(paths[0], SamplingPlan.from_requests([KEYS]), limits)


@pytest.mark.parametrize(
    "content", [b"", b"\0" * 4096, b"#EXTM3U\n/etc/passwd\n", b"ffconcat version 1.0\nfile x.mp4\n"]
)
def test_garbage_and_playlists_are_unreadable(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "video.mp4"
    path.write_bytes(content)
    with pytest.raises(UnreadableError):
        decode(str(path), SamplingPlan.from_requests([KEYS]), MediaLimits())


def test_titles_that_are_no_text_do_not_matter(paths: list[str], tmp_path: Path) -> None:
    path = tmp_path / "title.mp4"
    content = Path(paths[0]).read_bytes()
    assert content.count(b"VideoHandler") == 1
    path.write_bytes(content.replace(b"VideoHandler", b"\xff\xfeVideoHandl"))
    assert decode(str(path), SamplingPlan.from_requests([KEYS]), MediaLimits()).frames(KEYS) is not None


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(MissingObjectError):
        decode(str(tmp_path / "none.mp4"), SamplingPlan.from_requests([KEYS]), MediaLimits())


@pytest.mark.parametrize(
    ("declared", "seen", "truncated"),
    [
        (10.0, 9.4, True),
        (10.0, 9.6, False),
        (60.0, 58.0, False),
        (60.0, 56.0, True),
        (None, 3.0, False),
        (1.0, 0.6, False),
    ],
)
def test_truncation_needs_half_a_second_and_a_twentieth(declared: float | None, seen: float, truncated: bool) -> None:
    assert is_truncated(declared, seen) is truncated
