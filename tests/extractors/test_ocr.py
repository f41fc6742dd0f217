from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image, ImageDraw, ImageFont

from viral.extractors.extractor import ExtractorOutput, PostInput, Vector, VectorWithNote
from viral.extractors.frame_sampling import FrameTimes
from viral.extractors.ocr import OCR, OCR_COLUMNS, ReadLines, ocr_vector
from viral.extractors.screen_text import ScreenText, TextLine, line_reader
from viral.extractors.sentences import sentence_encoder
from viral.extractors.spec import Encode
from viral.media.decode import decode
from viral.media.limits import MediaLimits
from viral.media.media import Facts, FrameBatch, Media
from viral.media.plan import SamplingPlan
from viral.weights.resolve import resolve_local

OCR_ONCE = OCR()
WIDTH, HEIGHT = 480, 854


def picture(text: str = "", *, middle: float = 0.5) -> npt.NDArray[np.uint8]:
    """A portrait of colours that change smoothly, with white text whose middle is so far down."""
    down, across = np.linspace(20, 120, HEIGHT)[:, None], np.linspace(30, 90, WIDTH)[None]
    colours = np.stack([down + 0 * across, 0 * down + across, 60 + (down + across) / 4], -1)
    image = Image.fromarray(colours.astype(np.uint8))
    place = (WIDTH // 2, round(HEIGHT * middle))
    ImageDraw.Draw(image).multiline_text(
        place, text, fill="white", font=ImageFont.load_default(34), anchor="mm", align="center"
    )
    return np.asarray(image)


def video(frames: Sequence[npt.NDArray[np.uint8]], times: Sequence[float], seconds: float = 12.0) -> PostInput:
    """A video of which these frames are looked at; those of the first 3 s are its opening."""
    data, pts = np.stack(frames), np.array(times)
    whole, opening = OCR_ONCE.needs
    tracks = {whole: FrameBatch(data, pts), opening: FrameBatch(data[pts < 3], pts[pts < 3])}
    return PostInput(Media(Facts(seen_seconds=seconds), tracks))


@pytest.fixture(scope="module")
def encode() -> Encode:
    return OCR_ONCE.load("cpu", resolve_local)


@pytest.fixture(scope="module")
def lines() -> ReadLines:
    return line_reader(1)


def parts(output: ExtractorOutput) -> tuple[dict[str, float], Vector]:
    """The columns by name, and the embedding."""
    assert isinstance(output, VectorWithNote)
    result = output.vector
    assert result.shape == (OCR.dim,)
    assert result.dtype == np.float32
    count = len(OCR_COLUMNS)
    return dict(zip(OCR_COLUMNS, result[:count].tolist(), strict=True)), result[count:]


def test_absent_only_without_pictures(encode: Encode) -> None:
    assert encode(PostInput(None)) is None
    assert encode(PostInput(Media(Facts()))) is None
    output = encode(video([picture(), picture()], [0, 6]))
    assert isinstance(output, VectorWithNote)
    assert not np.any(output.vector)
    assert output.note == {"lines": []}


def test_words_are_read_where_and_when_they_are_shown(encode: Encode) -> None:
    frames = [picture("Wait for it", middle=0.1), picture(), picture("Subscribe now\nor regret it", middle=0.9)]
    sample = video(frames, [0, 2, 10])
    output = encode(sample)
    assert isinstance(output, VectorWithNote)
    assert output.note == {"lines": ["Wait for it", "Subscribe now", "or regret it"]}
    columns, meaning = parts(output)
    assert columns["share_of_time"] == pytest.approx(1 / 12 + 6 / 12)
    assert columns["opening_share"] == 0.5
    assert columns["lines_mean"] == pytest.approx(1 / 12 + 2 * 6 / 12)
    assert columns["log_words"] == pytest.approx(np.log(1 + 7))  # "it" comes twice
    assert columns["confidence"] > 0.9
    assert 0 < columns["opening_area"] < columns["area_max"] < 0.2
    assert columns["renewal"] == 1
    assert columns["top"] + columns["bottom"] == pytest.approx(1)
    assert columns["bottom"] > columns["top"]
    assert columns["middle"] == 0
    expected = sentence_encoder("cpu")("Wait for it Subscribe now or regret it")
    assert meaning @ expected == pytest.approx(1, abs=0.02)


def test_a_text_that_stays_is_told_from_one_that_changes(encode: Encode) -> None:
    stays, _ = parts(encode(video([picture("Part two")] * 2, [0, 6])))
    changes, _ = parts(encode(video([picture("Part two"), picture("The end")], [0, 6])))
    assert stays["renewal"] == 0.5
    assert changes["renewal"] == 1
    assert stays["log_words"] < changes["log_words"]


def test_single_letters_are_taken_for_things(lines: ReadLines) -> None:
    assert [line.text for line in lines(picture("OK"))] == ["OK"]
    assert lines(picture("O")) == ()


def test_distinct_lines_and_words() -> None:
    frames = [["Wait for it!", "DON'T blink"], ["wait for it", "It's over"]]
    shown = tuple(tuple(TextLine(text, 1.0, 0.1, 0.5) for text in frame) for frame in frames)
    text = ScreenText(FrameTimes.from_pts(np.array([0.0, 1.0]), 2.0), shown)
    assert text.distinct == ("Wait for it!", "DON'T blink", "It's over")
    assert text.words == {"wait", "for", "it", "don't", "blink", "it's", "over"}


@pytest.mark.parametrize("threads", [1, 2])
def test_the_models_run_on_the_threads_they_are_given(threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    import onnxruntime
    import rapidocr.inference_engine.onnxruntime.main as engine

    sessions = []

    def session(*args: object, **kwargs: object) -> onnxruntime.InferenceSession:
        sessions.append(onnxruntime.InferenceSession(*args, **kwargs))
        return sessions[-1]

    monkeypatch.setattr(engine, "InferenceSession", session)
    assert line_reader(threads)(picture("Hello"))
    assert [session.get_session_options().intra_op_num_threads for session in sessions] == [threads, threads]


def test_a_real_video(shared_data: Path, lines: ReadLines) -> None:
    path = shared_data / "tiktok_videos" / "videos" / "7305464751671315755.mp4"
    media = decode(str(path), SamplingPlan.from_requests(OCR_ONCE.needs), MediaLimits())
    text = OCR_ONCE.read(lines, PostInput(media))
    assert text is not None
    assert {"butterfly", "stomach", "something"} <= text.words
    assert len(text.distinct) == 3
    columns, meaning = parts(VectorWithNote(ocr_vector(text, sentence_encoder("cpu")), {}))
    assert columns["share_of_time"] == columns["opening_share"] == 1
    assert np.linalg.norm(meaning) == pytest.approx(1, abs=1e-5)
