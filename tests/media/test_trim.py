"""A file read with a window gives the same as the file cut there by other means."""

from __future__ import annotations

import math
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from tests.media.conftest import Make
from tests.media.streams import write_tone
from viral.errors import ConfigError, EmptyWindowError
from viral.extractors.acoustics import ACOUSTIC_COLUMNS
from viral.extractors.craft import CRAFT_COLUMNS
from viral.extractors.encode import encode
from viral.extractors.extractor import PostInput, Vector
from viral.extractors.feature_set import FeatureSet
from viral.extractors.metadata import METADATA_COLUMNS
from viral.media import probe as probing
from viral.media.decode import decode
from viral.media.index import PacketInfo, build_index
from viral.media.limits import MediaLimits
from viral.media.media import Media
from viral.media.plan import SamplingPlan
from viral.media.requests import AudioTrack, Clips, Frames, Packets, hook
from viral.media.sandbox import Sandbox
from viral.media.trim import trim_frames
from viral.media.window import ClipWindow

# The light set without the caption, which no cut changes.
SEEN = FeatureSet.from_dict({"name": "seen", "extractors": ["metadata", "acoustics", "craft"]})
COLUMNS = {"metadata": METADATA_COLUMNS, "acoustics": ACOUSTIC_COLUMNS, "craft": CRAFT_COLUMNS}
CODED = {"log_bits_per_pixel", "bits_variation", "cuts_per_second", "log_shot_seconds"}
"""Columns that depend on packet sizes, which differ from encoder to encoder."""

EVERY = Frames(every=0.1, size=(96, 160))
PRIMING_SECONDS = 0.17
"""Audio is copied from this far before a cut, so that its decoder is warmed up when the cut begins."""


def vectors(media: Media) -> dict[str, Vector]:
    by_name = encode(SEEN.build(), [PostInput(media)]).vectors[0]
    return {name: vector for name, vector in by_name.items() if vector is not None}


def assert_alike(media: Media, expected: Media, tolerance: float, *, without: set[str] = frozenset()) -> None:
    """Each column is within the tolerance, relative to its value, or absolute where that is below one."""
    left, right = vectors(media), vectors(expected)
    assert set(left) == set(right) == set(COLUMNS)
    for name, columns in COLUMNS.items():
        for column, a, b in zip(columns, left[name], right[name], strict=True):
            if column not in without:
                assert abs(a - b) <= tolerance * max(1.0, abs(b)), (column, a, b)


def copied(source: str, target: Path, start: float, stop: float) -> str:
    """Copy the packets from one key frame up to another."""
    with av.open(source) as original, av.open(str(target), "w") as output:
        streams = {
            s.index: output.add_stream_from_template(s) for s in (original.streams.video[0], original.streams.audio[0])
        }
        for packet in original.demux(*(original.streams[index] for index in streams)):
            begins = start - (PRIMING_SECONDS if packet.stream.type == "audio" else 0)
            if packet.pts is None or not begins - 1e-6 <= packet.pts * packet.time_base < stop - 1e-6:
                continue
            shift = round(start / packet.time_base)
            packet.pts, packet.dts, packet.stream = packet.pts - shift, packet.dts - shift, streams[packet.stream_index]
            output.mux(packet)
    return str(target)


def encoded(source: str, target: Path, start: float, stop: float) -> str:
    """Pictures and samples within the times encoded anew without loss, with key frames where they were."""
    with av.open(source) as original:  # a file of its own: what was read before shows in what a decoder gives
        samples = np.concatenate([frame.to_ndarray() for frame in original.decode(audio=0)], axis=1)
    with av.open(source) as original, av.open(str(target), "w") as output:
        video, audio = original.streams.video[0], original.streams.audio[0]
        picture = output.add_stream(
            "libx264", rate=30, options={"qp": "0", "preset": "ultrafast", "bf": "0", "g": "999"}
        )
        picture.width, picture.height, picture.pix_fmt = video.width, video.height, video.format.name
        picture.time_base = video.time_base
        track = output.add_stream("pcm_f32le", rate=audio.rate, layout=audio.layout.name)
        first = round(start / video.time_base)
        for frame in original.decode(video):
            if start - 1e-6 <= frame.time < stop - 1e-6:
                frame.pict_type = av.video.frame.PictureType.I if frame.key_frame else av.video.frame.PictureType.NONE
                frame.pts -= first
                output.mux(picture.encode(frame))
        output.mux(picture.encode(None))
        cut = samples[:, round(start * audio.rate) : round(stop * audio.rate)]
        block = av.AudioFrame.from_ndarray(cut.T.reshape(1, -1).copy(), format="flt", layout=audio.layout.name)
        block.sample_rate, block.pts, block.time_base = audio.rate, 0, Fraction(1, audio.rate)
        output.mux(track.encode(block))
        output.mux(track.encode(None))
    return str(target)


def keys_of(path: str) -> np.ndarray:
    packets = decode(path, SamplingPlan.from_requests([Packets()]), MediaLimits()).packets(Packets())
    assert packets is not None
    return packets.pts_seconds[packets.key]


def test_the_opening_of_a_real_video_is_that_of_a_copy_cut_at_a_key_frame(
    shared_data: Path, paths: list[str], tmp_path: Path
) -> None:
    path, stop = next((path, keys_of(path)[2]) for path in paths if len(keys_of(path)) > 2)
    cut = decode(
        copied(path, tmp_path / "cut.mp4", 0.0, stop), SamplingPlan.from_requests(SEEN.requests), MediaLimits()
    )
    seen = decode(path, SamplingPlan.from_requests(SEEN.requests, ClipWindow(0.0, stop)), MediaLimits())
    assert_alike(seen, cut, 0.005)  # the copy's last packet of sound ends up to 30 ms behind its picture
    packets, others = seen.packets(Packets()), cut.packets(Packets())
    assert packets is not None and others is not None
    assert packets.sizes.tolist() == others.sizes.tolist()
    assert packets.key.tolist() == others.key.tolist()
    assert seen.partial == cut.partial == ()
    assert seen.facts.seen_seconds == pytest.approx(cut.facts.seen_seconds, abs=0.05)
    assert seen.facts.declared_seconds == pytest.approx(cut.facts.declared_seconds, abs=0.05)


@pytest.mark.parametrize(("start", "stop"), [(0.0, 2.0), (1.5, 6.0)])
def test_any_part_of_a_real_video_is_that_of_one_encoded_anew(
    paths: list[str], tmp_path: Path, start: float, stop: float
) -> None:
    cut = decode(
        encoded(paths[1], tmp_path / "cut.mov", start, stop), SamplingPlan.from_requests(SEEN.requests), MediaLimits()
    )
    seen = decode(paths[1], SamplingPlan.from_requests(SEEN.requests, ClipWindow(start, stop)), MediaLimits())
    assert_alike(seen, cut, 0.002, without=CODED)
    assert seen.facts.seen_seconds == pytest.approx(stop - start, abs=1e-6)


def test_a_window_over_all_changes_nothing(paths: list[str]) -> None:
    whole = decode(paths[0], SamplingPlan.from_requests(SEEN.requests), MediaLimits())
    seen = decode(paths[0], SamplingPlan.from_requests(SEEN.requests, ClipWindow(0.0, 1000.0)), MediaLimits())
    for name, vector in vectors(whole).items():
        assert np.array_equal(vector, vectors(seen)[name])
    assert seen.facts == whole.facts


def test_times_and_pictures_count_from_the_windows_start(make: Make) -> None:
    path = make("numbered.mp4", frames=48, **{"x264-params": "keyint=12:min-keyint=12:scenecut=0:log-level=none"})
    keys, clips = Frames(count=4, size=(96, 160), choice="key"), Clips(count=1, frames=3, step=0.1, size=(96, 160))
    opening = hook(seconds=0.2, every=0.1, size=(96, 160))
    media = decode(
        path, SamplingPlan.from_requests([EVERY, keys, clips, opening, Packets()], ClipWindow(0.5, 1.3)), MediaLimits()
    )
    shown = {request: media.tracks[request] for request in (EVERY, keys, clips, opening)}
    corners = {
        request: (track.data[..., 2:14, 2:14, :].mean((-1, -2, -3)) / 4).round().astype(int)
        for request, track in shown.items()
    }
    assert corners[EVERY].tolist() == [15, 18, 21, 24, 27, 30, 33, 36]
    assert corners[keys].tolist() == [15, 24, 36]  # its first picture, and the key frames in it
    assert corners[clips].tolist() == [[15, 18, 21]]
    assert corners[opening].tolist() == [15, 18]
    np.testing.assert_allclose(shown[EVERY].pts_seconds, np.arange(8) / 10, atol=2e-3)
    packets = media.packets(Packets())
    assert packets is not None
    assert len(packets.sizes) == 24
    assert packets.pts_seconds[packets.key] == pytest.approx([0.3, 0.7], abs=2e-3)


def test_the_frame_on_the_screen_at_the_start_is_the_first() -> None:
    """A picture that stands still from 1 s to 2 s, as slideshows have it."""
    ticks = [*range(11), *range(20, 30)]
    index = build_index([PacketInfo(t, t, 1, 1, t in (0, 20)) for t in ticks], time_base=0.1, origin=0.0, fps=10)
    view = trim_frames(index, ClipWindow(1.55, 2.5), seen_seconds=3.2)
    assert view.first == 10
    assert view.index.pts_seconds == pytest.approx([0.0, 0.45, 0.55, 0.65, 0.75, 0.85])
    assert view.index.key_frames.tolist() == [0, 1]
    assert view.key.tolist() == [False, True, False, False, False, False]
    assert view.index.end == pytest.approx(0.95)
    still = trim_frames(index, ClipWindow(3.1), seen_seconds=3.2)  # only sound is left
    assert (still.first, len(still.index)) == (20, 1)
    assert still.index.end == pytest.approx(0.1)


def test_sound_is_cut_to_the_sample(paths: list[str]) -> None:
    sound = AudioTrack(16000)
    for path in paths[-2:]:
        whole = decode(path, SamplingPlan.from_requests([sound]), MediaLimits()).audio(sound)
        cut = decode(path, SamplingPlan.from_requests([sound], ClipWindow(0.5, 2.0)), MediaLimits())
        audio = cut.audio(sound)
        assert whole is not None and audio is not None
        assert np.array_equal(audio.samples, whole.samples[8000:32000])
        assert cut.facts.seen_seconds == pytest.approx(1.5)
        assert cut.facts.audio_codec is not None


def test_a_part_without_sound_has_none(tmp_path: Path, make: Make) -> None:
    path = tmp_path / "late.mkv"
    with av.open(make("silent.mp4")) as original, av.open(str(path), "w") as output:
        picture = output.add_stream_from_template(original.streams.video[0])
        track = output.add_stream("pcm_s16le", rate=8000, layout="mono")
        for packet in original.demux(original.streams.video[0]):
            if packet.dts is not None:
                packet.stream = picture
                output.mux(packet)
        late = av.AudioFrame.from_ndarray(np.full((1, 4000), 999, np.int16), format="s16", layout="mono")
        late.sample_rate, late.pts, late.time_base = 8000, 8000, Fraction(1, 8000)
        output.mux([*track.encode(late), *track.encode(None)])
    plan = [AudioTrack(8000), EVERY]
    before = decode(str(path), SamplingPlan.from_requests(plan, ClipWindow(0.0, 0.4)), MediaLimits())
    assert (before.facts.audio_codec, before.audio(AudioTrack(8000)), before.partial) == (None, None, ())
    across = decode(str(path), SamplingPlan.from_requests(plan, ClipWindow(0.8, 1.25)), MediaLimits())
    audio = across.audio(AudioTrack(8000))
    assert audio is not None and across.facts.audio_codec == "pcm_s16le"
    assert len(audio.samples) == pytest.approx(3600, abs=8)
    assert np.abs(audio.samples[:1500]).max() == 0 < np.abs(audio.samples[1700:]).min()  # it starts at 1 s


def test_a_part_of_a_file_that_broke_off_is_whole(paths: list[str], tmp_path: Path) -> None:
    path = tmp_path / "cut.mp4"
    content = Path(paths[0]).read_bytes()
    path.write_bytes(content[: len(content) * 6 // 10])
    assert decode(str(path), SamplingPlan.from_requests([EVERY], ClipWindow(0.0, 2.0)), MediaLimits()).partial == ()
    assert decode(str(path), SamplingPlan.from_requests([EVERY], ClipWindow(2.0)), MediaLimits()).partial == (
        "truncated",
    )


def test_packets_that_are_too_many_to_hold(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    path, plan = make("numbered.mp4"), SamplingPlan.from_requests([EVERY], ClipWindow(0.5, 1.0))
    cached = decode(path, plan, MediaLimits()).frames(EVERY)
    monkeypatch.setattr(probing, "MAX_CACHED_BYTES", 0)
    again = decode(path, plan, MediaLimits()).frames(EVERY)
    assert cached is not None and again is not None
    assert np.array_equal(cached.data, again.data)


@pytest.mark.parametrize(("start", "stop"), [(1.0, 1.0), (2.0, 1.0), (-1.0, 2.0), (math.nan, 1.0), (0.0, math.nan)])
def test_a_window_without_length_is_refused(start: float, stop: float) -> None:
    with pytest.raises(ConfigError, match="is no part of a video"):
        ClipWindow(start, stop)


def test_a_window_beyond_the_end_is_one_clear_error(make: Make, tmp_path: Path) -> None:
    with (
        Sandbox(MediaLimits()) as sandbox,
        pytest.raises(EmptyWindowError, match=r"from 9 s to the end: the video lasts"),
    ):
        sandbox.decode(make("short.mp4"), SamplingPlan.from_requests([EVERY], ClipWindow(9.0)))
    with pytest.raises(EmptyWindowError, match=r"no audio from 9 s to 10 s: the audio lasts 8\.3\d* s"):
        decode(
            write_tone(tmp_path / "tone.mp3"),
            SamplingPlan.from_requests([AudioTrack()], ClipWindow(9.0, 10.0)),
            MediaLimits(),
        )
