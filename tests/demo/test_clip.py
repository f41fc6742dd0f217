from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from viral.demo.clip import render
from viral.demo.plan import Clip, PlannedSound, plan_clip
from viral.demo.sound import loudness_db
from viral.demo.spec import CorpusSpec

SPEC = CorpusSpec(size=(160, 90), fps=12)


def planned(sound: PlannedSound | None) -> Clip:
    return plan_clip(SPEC, "clip", 1, seconds=5, cut_rate=0.8, sound=sound)


def test_a_clip_is_what_browsers_play(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    render(planned(PlannedSound(0, True, -20.0, -30.0)), SPEC, path)
    with av.open(str(path)) as container:
        picture, sound = container.streams.video[0], container.streams.audio[0]
        assert (picture.codec_context.name, picture.pix_fmt) == ("h264", "yuv420p")
        assert (picture.width, picture.height, picture.average_rate) == (90, 160, 12)
        assert sound.codec_context.name == "aac"
        assert sum(1 for _ in container.decode(video=0)) == 60
    with av.open(str(path)) as container:
        samples = np.concatenate([frame.to_ndarray()[0] for frame in container.decode(audio=0)])
    assert len(samples) == pytest.approx(5 * 24000, abs=2048)
    assert loudness_db(samples[: 3 * 24000]) == pytest.approx(-20, abs=1)
    # The index comes before the data, so that playing starts before all is loaded.
    assert path.read_bytes().find(b"moov") < path.read_bytes().find(b"mdat")


def test_a_clip_without_sound_has_no_sound_track(tmp_path: Path) -> None:
    render(planned(None), SPEC, tmp_path / "clip.mp4")
    with av.open(str(tmp_path / "clip.mp4")) as container:
        assert not container.streams.audio


def test_the_same_clip_is_the_same_file_and_nothing_stays_aside(tmp_path: Path) -> None:
    for name in ("a.mp4", "b.mp4"):
        render(planned(PlannedSound(0, True, -20.0, -30.0)), SPEC, tmp_path / name)
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()
    assert {path.name for path in tmp_path.iterdir()} == {"a.mp4", "b.mp4"}


def test_a_folder_that_is_not_there_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        render(planned(None), SPEC, tmp_path / "nowhere" / "clip.mp4")
