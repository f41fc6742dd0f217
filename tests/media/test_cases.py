"""The outcome of each of the 96 test files of other projects."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from viral.errors import PostError
from viral.media.limits import MediaLimits
from viral.media.media import Media
from viral.media.plan import SamplingPlan
from viral.media.requests import AudioTrack, Clips, Frames, Packets
from viral.media.sandbox import Sandbox

STILLS = Frames(count=3, size=(32, 32))
KEYS = Frames(count=3, size=(24, 32), choice="key", fit="stretch")
CLIPS = Clips(count=2, frames=4, step=0.1, size=(16, 16))
PLAN = SamplingPlan.from_requests([STILLS, KEYS, CLIPS, AudioTrack(16000), Packets()])

FAILING = {
    "malformed-join.mp3": "no_video_stream",  # cover art is no moving picture
    "small__Mpeg4.mp4": "no_video_stream",
    "sine-3s-xhe-aac-44khz-mono.mp4": "no_video_stream",
    "result.webm": "unreadable",
    "minimal_init.mp4": "unreadable",
    "gpac_cfg_test.mp4": "unreadable",
    "FlashVideo.flv": "unreadable",
    "test_case_1185230.mp4": "unreadable",
    "bipbop_nonfragment_header.mp4": "unreadable",
    "chunk_out_of_range.mp4": "unreadable",
    "short-cenc.mp4": "unsupported_codec",
}
"""By the end of the name; sound alone is `no_video_stream`, all others are `ok`."""

PARTIAL = {"small__webm.webm": "truncated", "no_timescale.mp4": "damaged"}
"""One frame of a millisecond in a file that declares a second; and packets of which twelve are no pictures."""

SHOWN = {"QCIF_30fps_h263_noaudio_1f.3gp": 216, "h264_white_frame_sar_16_9.mp4": 1138}
"""Widths of the files whose pixels are not square; ffprobe gives those before that is mended."""


def expected(row: dict[str, str]) -> str:
    special = {**FAILING, **PARTIAL}
    named = next((special[ending] for ending in special if row["file"].endswith(ending)), None)
    return named or ("no_video_stream" if "audio_only" in row["notes"] else "ok")


@pytest.fixture(scope="module")
def outcomes(shared_data: Path) -> dict[str, tuple[dict[str, str], Media | PostError]]:
    folder = shared_data / "media_cases"
    with (folder / "manifest.csv").open() as file:
        rows = list(csv.DictReader(file))
    results: dict[str, tuple[dict[str, str], Media | PostError]] = {}
    with Sandbox(MediaLimits()) as sandbox:
        for row in rows:
            try:
                results[row["file"]] = row, sandbox.decode(str(folder / row["file"]), PLAN)
            except PostError as error:
                results[row["file"]] = row, error
    return results


def test_every_file_has_its_outcome_and_one_line_about_it(
    outcomes: dict[str, tuple[dict[str, str], Media | PostError]],
) -> None:
    reasons = {}
    for name, (_, outcome) in outcomes.items():
        reasons[name] = outcome.reason if isinstance(outcome, PostError) else "+".join(outcome.partial) or "ok"
    assert len(reasons) == 96
    assert reasons == {name: expected(row) for name, (row, _) in outcomes.items()}
    messages = {name: str(outcome) for name, (_, outcome) in outcomes.items() if isinstance(outcome, PostError)}
    assert [name for name, message in messages.items() if not message or "\n" in message or "/" in message] == []


def test_what_was_read_agrees_with_ffprobe(outcomes: dict[str, tuple[dict[str, str], Media | PostError]]) -> None:
    for row, media in outcomes.values():
        if isinstance(media, PostError):
            continue
        facts = media.facts
        turned = row["rotation"] in ("90", "-90")
        width = next((width for ending, width in SHOWN.items() if row["file"].endswith(ending)), int(row["width"]))
        size = (width, int(row["height"]))
        assert (facts.width, facts.height) == (size[::-1] if turned else size)
        assert facts.video_codec == row["vcodec"]
        assert facts.audio_codec == (row["acodec"] or None)
        assert facts.bytes == int(row["bytes"])
        assert facts.seen_seconds is not None
        if row["duration"] and not media.partial:
            assert facts.seen_seconds == pytest.approx(float(row["duration"]), abs=0.1)


def test_tracks_are_whole(outcomes: dict[str, tuple[dict[str, str], Media | PostError]]) -> None:
    for row, media in outcomes.values():
        if isinstance(media, PostError):
            continue
        stills, keys, clips, packets = (
            media.frames(STILLS),
            media.frames(KEYS),
            media.clips(CLIPS),
            media.packets(Packets()),
        )
        assert stills is not None and keys is not None and clips is not None and packets is not None
        assert stills.data.shape == (3, 32, 32, 3)
        assert keys.data.shape == (len(keys.pts_seconds), 24, 32, 3)
        assert clips.data.shape == (len(clips.pts_seconds), 4, 16, 16, 3)
        assert np.isin(keys.pts_seconds, packets.pts_seconds[packets.key]).all()
        for pts in (stills.pts_seconds, keys.pts_seconds, clips.pts_seconds, packets.pts_seconds):
            assert (np.diff(pts) >= 0).all()
            assert pts.min() >= 0
        sound = media.audio(AudioTrack(16000))
        assert (sound is not None) == (row["has_audio"] == "True")
