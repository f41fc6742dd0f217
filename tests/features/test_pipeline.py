"""Every post ends as one result, whatever its video is."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from viral.config import Settings
from viral.extractors.extractor import Context
from viral.extractors.feature_set import FeatureSet
from viral.extractors.metadata import METADATA_COLUMNS
from viral.features.pipeline import ENCODE_BATCH_SIZE, TEXT_BATCH_SIZE, Pipeline, batches
from viral.features.posts import DecodedPost, ExtractionRequest, ExtractionResult
from viral.features.reader import PREFETCHED_FILES
from viral.media.media import Audio, Facts, Media
from viral.media.requests import AudioTrack
from viral.media.window import ClipWindow
from viral.storage.store import Store

MINI = FeatureSet.from_dict({"name": "mini", "extractors": ["metadata", "acoustics"]})
FPS, RATE = 10, 22050


def write_clip(path: Path, *, seconds: float = 1.0, sound: bool = True, tone: float = 440.0) -> None:
    """A small moving picture, with a tone."""
    with av.open(str(path), "w", format="mp4", options={"movflags": "+faststart"}) as container:
        picture = container.add_stream("libx264", rate=FPS, options={"g": "5"})
        picture.width, picture.height, picture.pix_fmt = 64, 96, "yuv420p"
        track = container.add_stream("aac", rate=RATE, layout="mono") if sound else None
        for number in range(int(seconds * FPS)):
            image = np.full((96, 64, 3), 20 * (number % 10), np.uint8)
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, FPS)
            container.mux(picture.encode(frame))
            if track is not None:
                times = (np.arange(RATE // FPS) + number * (RATE // FPS)) / RATE
                wave = (0.5 * np.sin(2 * np.pi * tone * times)).astype(np.float32)
                audio = av.AudioFrame.from_ndarray(wave[None], format="fltp", layout="mono")
                audio.sample_rate, audio.pts, audio.time_base = RATE, number * (RATE // FPS), Fraction(1, RATE)
                container.mux(track.encode(audio))
        container.mux(picture.encode(None))
        if track is not None:
            container.mux(track.encode(None))


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Good files and others."""
    folder = tmp_path_factory.mktemp("clips")
    write_clip(folder / "a.mp4")
    write_clip(folder / "b.mp4", seconds=2, tone=880)
    write_clip(folder / "silent.mp4", sound=False)
    write_clip(folder / "long.mp4", seconds=8)
    whole = (folder / "long.mp4").read_bytes()
    (folder / "cut.mp4").write_bytes(whole[: len(whole) * 6 // 10])
    (folder / "garbage.mp4").write_bytes(np.random.default_rng(0).bytes(20_000))
    (folder / "empty.mp4").touch()
    return folder


@pytest.fixture(scope="module")
def pipeline(clips: Path) -> Iterator[Pipeline]:
    with Pipeline(MINI, Store(clips), Settings()) as pipeline:
        yield pipeline


@pytest.fixture(autouse=True)
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "scratch"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def same(left: ExtractionResult, right: ExtractionResult) -> bool:
    """Equal but for the time it took, to the last bit."""
    vectors = all(np.array_equal(left.vectors[name], right.vectors[name]) for name in left.vectors | right.vectors)
    return vectors and (left.status, left.reason, left.facts) == (right.status, right.reason, right.facts)


def test_one_good_video(pipeline: Pipeline, clips: Path) -> None:
    (result,) = pipeline.extract([ExtractionRequest("1", "a.mp4", Context(caption="hello"))])
    assert (result.post_id, result.status, result.reason, result.detail) == ("1", "ok", None, None)
    for name, dim in MINI.dims.items():
        vector = result.vectors[name]
        assert vector is not None
        assert vector.shape == (dim,)
        assert vector.dtype == np.float32
        assert np.isfinite(vector).all()
    assert (result.facts.width, result.facts.height, result.facts.video_codec) == (64, 96, "h264")
    assert result.facts.bytes == (clips / "a.mp4").stat().st_size
    assert set(result.stage_seconds) == {"read", "decode", *MINI.dims}
    assert all(seconds >= 0 for seconds in result.stage_seconds.values())


def test_a_file_without_the_sound_of_its_scrape_is_partial(pipeline: Pipeline) -> None:
    requests = [ExtractionRequest(str(says), "silent.mp4", has_sound=says) for says in (True, False, None)]
    results = [(result.status, result.reason) for result in pipeline.extract(requests)]
    assert results == [("partial", "audio_missing"), ("ok", None), ("ok", None)]


def test_a_post_of_words_alone_is_enough_for_extractors_of_words(pipeline: Pipeline, clips: Path) -> None:
    words = FeatureSet.from_dict({"name": "words", "extractors": ["metadata"]})
    context = Context(caption="hello")
    with Pipeline(words, Store(clips), Settings()) as text_pipeline:
        alone, file, gone = text_pipeline.extract(
            ExtractionRequest(str(index), uri, context) for index, uri in enumerate((None, "a.mp4", "none.mp4"))
        )
        draft = text_pipeline.extract_draft(None, context)
    assert (alone.status, file.status, gone.reason) == ("ok", "ok", "missing_object")
    features = {
        name: dict(zip(METADATA_COLUMNS, result.vectors["metadata"], strict=True))
        for name, result in {"alone": alone, "file": file, "draft": draft}.items()
    }
    assert features["alone"] == features["draft"]
    assert (features["alone"]["media_known"], features["file"]["media_known"]) == (0, 1)
    (failed,) = pipeline.extract([ExtractionRequest("1", None, context)])  # of a set that listens, too
    assert failed.reason == "missing_object"


EXPECTED = {
    "a.mp4": ("ok", None),
    "garbage.mp4": ("failed", "unreadable"),
    "b.mp4": ("ok", None),
    "missing.mp4": ("failed", "missing_object"),
    "silent.mp4": ("ok", None),
    "cut.mp4": ("partial", "truncated"),
    "empty.mp4": ("failed", "unreadable"),
    "": ("failed", "missing_object"),
    "long.mp4": ("ok", None),
}


def test_every_post_ends_as_one_outcome_in_order(pipeline: Pipeline, scratch: Path) -> None:
    uris = [*EXPECTED, *reversed(EXPECTED)]
    assert len(uris) > 2 * ENCODE_BATCH_SIZE
    results = list(pipeline.extract(ExtractionRequest(str(index), uri or None) for index, uri in enumerate(uris)))
    assert [result.post_id for result in results] == [str(index) for index in range(len(uris))]
    assert [(result.status, result.reason) for result in results] == [EXPECTED[uri] for uri in uris]
    for result in results:
        assert (result.status == "failed") == (not result.vectors)
        assert result.detail if result.status == "failed" else not result.detail
        assert "\n" not in (result.detail or "")
    silent = results[list(EXPECTED).index("silent.mp4")]
    assert silent.vectors["acoustics"] is None
    assert silent.vectors["metadata"] is not None
    assert list(scratch.iterdir()) == []


def test_a_posts_vectors_do_not_depend_on_its_neighbours(pipeline: Pipeline, clips: Path) -> None:
    names = [name for name, (status, _) in EXPECTED.items() if status != "failed"]
    together = list(pipeline.extract(ExtractionRequest(name, name, Context(caption=name)) for name in names))
    for name, result in zip(names, together, strict=True):
        assert same(result, pipeline.extract_draft(str(clips / name), Context(caption=name)))


def test_a_window_is_read_as_if_the_file_were_cut(pipeline: Pipeline, clips: Path) -> None:
    opening, beyond, whole = pipeline.extract(
        [
            ExtractionRequest("1", "b.mp4", window=ClipWindow(0.5, 1.5)),
            ExtractionRequest("2", "b.mp4", window=ClipWindow(7.0)),
            ExtractionRequest("3", "b.mp4"),
        ]
    )
    assert (opening.status, beyond.reason, whole.status) == ("ok", "empty_window", "ok")
    assert opening.facts.seen_seconds == pytest.approx(1.0)
    assert whole.facts.seen_seconds == pytest.approx(2.0, abs=0.1)
    cut = opening.vectors["metadata"]
    assert cut is not None
    assert cut[METADATA_COLUMNS.index("duration_seconds")] == pytest.approx(1.0)
    assert same(whole, pipeline.extract_draft("b.mp4", Context()))


def test_nothing_to_do(pipeline: Pipeline) -> None:
    assert list(pipeline.extract([])) == []


def test_jobs_are_taken_as_they_are_needed(pipeline: Pipeline) -> None:
    """A backfill may be larger than memory: only one group and the prefetched files are in memory."""
    taken = 0

    def jobs() -> Iterator[ExtractionRequest]:
        nonlocal taken
        for taken in range(1, 1000):
            yield ExtractionRequest(str(taken), None)

    results = pipeline.extract(jobs())
    next(results)
    assert taken <= TEXT_BATCH_SIZE + PREFETCHED_FILES + 1
    results.close()


def test_words_only(pipeline: Pipeline) -> None:
    result = pipeline.extract_draft(None, Context(caption="a draft", author_followers=10))
    assert result.status == "ok"
    assert result.vectors["acoustics"] is None
    assert result.vectors["metadata"] is not None
    nothing = pipeline.extract_draft(None, Context())
    assert nothing.vectors == {"metadata": None, "acoustics": None}


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        (Settings(media={"max_bytes": 1000}), "too_large"),
        (Settings(media={"max_seconds": 0.5}), "too_long"),
        (Settings(media={"max_pixels": 1000}), "too_large"),
        (Settings(sandbox={"seconds": 1e-4}), "timed_out"),
    ],
)
def test_limits_are_the_settings(clips: Path, settings: Settings, reason: str) -> None:
    with Pipeline(MINI, Store(clips), settings) as pipeline:
        first, second = pipeline.extract([ExtractionRequest("1", "a.mp4"), ExtractionRequest("2", "missing.mp4")])
    assert (first.status, first.reason) == ("failed", reason)
    assert second.reason == "missing_object"


def test_videos_on_s3_leave_no_copies(s3_root: str, clips: Path, pipeline: Pipeline, scratch: Path) -> None:
    store = Store(s3_root)
    for name in EXPECTED:
        if name and (clips / name).exists():
            store.upload(clips / name, f"videos/{name}")
    with Pipeline(MINI, store, Settings()) as remote:
        results = list(remote.extract(ExtractionRequest(name, f"videos/{name}" if name else None) for name in EXPECTED))
        assert [(result.status, result.reason) for result in results] == list(EXPECTED.values())
        assert same(results[0], pipeline.extract_draft("a.mp4", Context()))
        assert list(scratch.iterdir()) == []
        unfinished = remote.extract(ExtractionRequest(str(number), "videos/a.mp4") for number in range(100))
        next(unfinished)
        unfinished.close()
        assert list(scratch.iterdir()) == []


def test_closing_ends_the_child_processes(clips: Path) -> None:
    def children() -> set[str]:
        return set(Path(f"/proc/self/task/{os.getpid()}/children").read_text().split())

    before = children()
    with Pipeline(MINI, Store(clips), Settings()) as pipeline:
        list(pipeline.extract([ExtractionRequest("1", "a.mp4")]))
    assert children() <= before


def test_texts_are_encoded_in_larger_batches_than_videos() -> None:
    text = DecodedPost(ExtractionRequest("text", None), Media(Facts()))
    heard = Media(Facts(), {AudioTrack(): Audio(np.zeros(1, np.float32), 1)})
    video = DecodedPost(ExtractionRequest("video", "a.mp4"), heard)
    failed = DecodedPost(ExtractionRequest("failed", "b.mp4"), None, "unreadable")
    sizes = [len(batch) for batch in batches([text] * (TEXT_BATCH_SIZE + 2))]
    assert sizes == [TEXT_BATCH_SIZE, 2]
    posts = [post for _ in range(ENCODE_BATCH_SIZE) for post in (text, video, failed)]
    assert [len(batch) for batch in batches([*posts, text])] == [3 * ENCODE_BATCH_SIZE - 1, 2]
    assert list(batches([])) == []
