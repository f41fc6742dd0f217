"""Photo sets: their slides are the frames of a video with equal stays, their sound is its sound."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.media.photos import BROKEN, HEIC, SIZE, write_picture
from tests.media.streams import SECONDS, write_tone
from viral.config import Settings
from viral.extractors.craft import CRAFT_COLUMNS
from viral.extractors.feature_set import FeatureSet
from viral.features.pipeline import Pipeline
from viral.features.posts import ExtractionRequest, ExtractionResult
from viral.media.decode import decode
from viral.media.limits import MediaLimits
from viral.media.media import Media
from viral.media.photo_set import SECONDS_PER_SLIDE, PhotoSet
from viral.media.plan import SamplingPlan
from viral.media.requests import AudioTrack, Clips, Frames, Packets
from viral.media.window import ClipWindow
from viral.storage.store import Store

EVERY = Frames(size=(48, 27), every=1.0)
KEYS = Frames(size=(48, 27), count=8, choice="key")
CLIPS = Clips(count=2, frames=4, step=0.1, size=(24, 24))
PLAN = SamplingPlan.from_requests([EVERY, KEYS, CLIPS, AudioTrack(8000), Packets()])
COLOURS = ("red", "lime", "blue")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    for colour in COLOURS:
        write_picture(folder / f"{colour}.png", colour)
    write_picture(folder / "wide.png", "white", (200, 50))
    write_picture(folder / "sideways.jpg", "white", SIZE[::-1], sideways=True)
    write_picture(folder / "moves.gif", moves=True)
    write_picture(folder / "moves.webp", moves=True)
    write_picture(folder / "huge.png", size=(9000, 5000))  # 45 million pixels in 150 kB
    (folder / "broken.jpg").write_bytes(BROKEN)
    (folder / "cut.png").write_bytes((folder / "red.png").read_bytes()[:80])
    (folder / "notes.txt").write_text("no picture")
    (folder / "empty.jpg").touch()
    (folder / "phone.heic").write_bytes(HEIC)
    write_tone(folder / "tone.mp3")
    return folder


def decoded(folder: Path, *slides: str, sound: str | None = None, window: ClipWindow | None = None) -> Media:
    photo_set = PhotoSet(tuple(str(folder / slide) for slide in slides), sound and str(folder / sound))
    return decode(photo_set, SamplingPlan(PLAN.requests, window), MediaLimits())


def colours(media: Media) -> list[str]:
    """Names of the colours in the middle of the frames of each second."""
    batch = media.frames(EVERY)
    assert batch is not None
    names = {(255, 0, 0): "red", (0, 255, 0): "lime", (0, 0, 255): "blue", (255, 255, 255): "white"}
    return [names[tuple(frame[24, 13].tolist())] for frame in batch.data]


def test_without_a_sound_each_slide_stays_three_seconds(folder: Path) -> None:
    media = decoded(folder, "red.png", "lime.png", "blue.png")
    assert colours(media) == ["red"] * 3 + ["lime"] * 3 + ["blue"] * 3
    assert (media.facts.slides, media.facts.seen_seconds) == (3, 3 * SECONDS_PER_SLIDE)
    assert (media.facts.width, media.facts.height, media.facts.video_codec) == (*SIZE, "png")
    assert (media.facts.audio_codec, media.partial, media.audio(AudioTrack(8000))) == (None, (), None)
    keys, clips, packets = media.frames(KEYS), media.clips(CLIPS), media.packets(Packets())
    assert keys is not None and clips is not None and packets is not None
    assert keys.pts_seconds.tolist() == packets.pts_seconds.tolist() == [0.0, 3.0, 6.0]
    assert clips.data.shape == (2, 4, 24, 24, 3)
    assert packets.sizes.tolist() == [(folder / f"{colour}.png").stat().st_size for colour in COLOURS]


def test_a_sound_gives_the_length(folder: Path) -> None:
    media = decoded(folder, "red.png", "lime.png", sound="tone.mp3")
    audio = media.audio(AudioTrack(8000))
    assert audio is not None
    assert media.facts.seen_seconds == pytest.approx(SECONDS, abs=0.1)
    assert len(audio.samples) / 8000 == pytest.approx(SECONDS, abs=0.1)
    assert colours(media) == ["red"] * 5 + ["lime"] * 4
    silent = decode(PhotoSet((str(folder / "red.png"),), str(folder / "tone.mp3")), SamplingPlan(()), MediaLimits())
    assert silent.facts.seen_seconds == media.facts.seen_seconds  # whether or not the sound is decoded
    assert media.facts.audio_codec == silent.facts.audio_codec == "mp3"
    assert media.facts.sha256 != decoded(folder, "red.png", "lime.png").facts.sha256


def test_a_window_cuts_it_like_a_video(folder: Path) -> None:
    media = decoded(folder, "red.png", "lime.png", "blue.png", window=ClipWindow(2.0, 5.0))
    assert colours(media) == ["red", "lime", "lime"]
    assert media.facts.seen_seconds == 3.0


def test_pictures_of_other_sizes_are_centred_on_black(folder: Path) -> None:
    batch = decoded(folder, "red.png", "wide.png").frames(KEYS)
    assert batch is not None
    wide = batch.data[1]  # 200 x 50 in a frame that is 48 high and 27 wide: 27 x 7
    rows = np.flatnonzero(wide[:, 13].mean(axis=1) > 128)
    assert len(rows) in (6, 7)
    assert rows.mean() == pytest.approx(23.5, abs=0.6)
    assert wide[:16].max() == wide[-16:].max() == 0


def test_pictures_are_upright_and_over_black(folder: Path, tmp_path: Path) -> None:
    turned = decoded(folder, "sideways.jpg")
    batch = turned.frames(KEYS)
    assert (turned.facts.width, turned.facts.height) == SIZE
    assert batch is not None
    assert batch.data[0][:, 20:].max() < 10 < 245 < batch.data[0][:, :8].min()  # the top came to the right
    Image.new("RGBA", SIZE, (255, 255, 255, 0)).save(tmp_path / "clear.png")
    Image.fromarray(np.full((96, 54), 0x8000, np.uint16)).save(tmp_path / "deep.png")  # 16 bits of grey
    batch = decoded(tmp_path, "clear.png", "deep.png").frames(KEYS)
    assert batch is not None
    assert [int(np.median(frame)) for frame in batch.data] == [0, 128]


SET = FeatureSet.from_dict({"name": "photos", "extractors": ["metadata", "acoustics", "craft"]})


@pytest.fixture(scope="module")
def pipeline(folder: Path) -> Iterator[Pipeline]:
    with Pipeline(SET, Store(str(folder)), Settings()) as pipeline:
        yield pipeline


def extracted(pipeline: Pipeline, *slides: str, sound: str | None = None) -> ExtractionResult:
    (result,) = pipeline.extract([ExtractionRequest("1", None, slides=slides, sound_uri=sound)])
    return result


def test_craft_counts_the_changes_of_slides(pipeline: Pipeline) -> None:
    result = extracted(pipeline, "red.png", "lime.png", "blue.png", sound="tone.mp3")
    assert (result.status, result.reason, result.detail) == ("ok", None, None)
    assert all(vector is not None for vector in result.vectors.values())
    craft = dict(zip(CRAFT_COLUMNS, result.vectors["craft"].tolist(), strict=True))
    seconds = result.facts.seen_seconds
    assert craft["cuts_per_second"] == pytest.approx(2 / seconds)
    assert (craft["log_bits_per_pixel"], craft["bits_variation"]) == (-4, 0)
    assert craft["opening_first_cut"] == pytest.approx(seconds / 3)


@pytest.mark.parametrize(
    ("slides", "reason", "detail"),
    [
        ((), "missing_object", "no slides"),
        (("none.png",), "missing_object", "slide 1: there is no file"),
        (
            ("https://cdn/1.jpg", "https://cdn/2.jpg"),
            "missing_object",
            "slide 1: https://cdn/1.jpg is not in the store",
        ),
        (("broken.jpg", "notes.txt"), "unreadable", "slide 1: the file is damaged"),
        (("notes.txt",), "unreadable", "no picture of a known format"),
        (("cut.png",), "unreadable", "slide 1: the picture is damaged"),
        (("empty.jpg",), "unreadable", "the file is empty"),
        (("phone.heic",), "unsupported_codec", "HEIC"),
        (("huge.png",), "too_large", "9000 x 5000 pixels"),
        (("red.png",) * 201, "too_large", "201 slides"),
    ],
)
def test_without_a_usable_slide_the_post_fails(
    pipeline: Pipeline, slides: tuple[str, ...], reason: str, detail: str
) -> None:
    result = extracted(pipeline, *slides)
    assert (result.status, result.reason) == ("failed", reason)
    assert detail in (result.detail or "")


@pytest.mark.parametrize(
    ("slide", "detail"),
    [
        ("none.png", "there is no file"),
        ("https://cdn/2.jpg", "is not in the store"),
        ("broken.jpg", "the file is damaged"),
        ("cut.png", "the picture is damaged"),
        ("phone.heic", "HEIC"),
        ("huge.png", "9000 x 5000 pixels"),
        ("moves.gif", "only its first frame"),
        ("moves.webp", "only its first frame"),
    ],
)
def test_one_bad_slide_makes_a_partial_post_of_the_same_length(pipeline: Pipeline, slide: str, detail: str) -> None:
    result = extracted(pipeline, "red.png", slide, "blue.png")
    assert (result.status, result.reason) == ("partial", "damaged")
    assert "slide 2: " in (result.detail or "")
    assert detail in (result.detail or "")
    assert (result.facts.slides, result.facts.seen_seconds) == (3, 9.0)


def test_the_slide_before_stays_for_a_bad_one(folder: Path) -> None:
    assert colours(decoded(folder, "red.png", "cut.png", "blue.png")) == ["red"] * 6 + ["blue"] * 3
    assert colours(decoded(folder, "cut.png", "lime.png")) == ["lime"] * 6


@pytest.mark.parametrize(
    ("sound", "reason"),
    [("none.mp3", "audio_missing"), ("https://cdn/s", "audio_missing"), ("notes.txt", "audio_failed")],
)
def test_a_sound_that_cannot_be_had_is_told(pipeline: Pipeline, sound: str, reason: str) -> None:
    result = extracted(pipeline, "red.png", "blue.png", sound=sound)
    assert (result.status, result.reason) == ("partial", reason)
    assert (result.detail or "").startswith("sound: ")
    assert result.facts.seen_seconds == 2 * SECONDS_PER_SLIDE
    assert result.vectors["acoustics"] is None


def test_a_hundred_slides(pipeline: Pipeline) -> None:
    result = extracted(pipeline, *[f"{COLOURS[i % 3]}.png" for i in range(100)])
    assert (result.status, result.facts.slides, result.facts.seen_seconds) == ("ok", 100, 300.0)
