"""On-screen text: amount, position, timing and meaning."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field

from viral.extractors.extractor import PostInput, Vector, VectorWithNote
from viral.extractors.frame_sampling import FrameSample
from viral.extractors.screen_text import DETECTOR, RECOGNISER, Image, ScreenText, TextLine, line_reader
from viral.extractors.sentences import SENTENCE_DIM, sentence_encoder
from viral.extractors.spec import Encode, ExtractorSpec, Resolver
from viral.media.requests import Frames

OCR_COLUMNS = (
    "share_of_time",
    "area_mean",
    "area_max",
    "opening_share",
    "opening_area",
    "lines_mean",
    "log_words",
    "log_characters",
    "renewal",
    "confidence",
    "top",
    "middle",
    "bottom",
)
"""The columns before the embedding. `share_of_time` is the fraction of the time with text, `opening_share` the fraction
of the frames of the first 3 s; areas are fractions of the picture; `lines_mean` is the number of lines per frame;
`log_words` and `log_characters` count the distinct lines, as log(1 + n); `renewal` is distinct lines per line, 1 if
every frame has new text; `confidence` is the mean over lines; `top`, `middle` and `bottom` are the fractions of the
text's area in the thirds of the picture. All are 0 without text."""

_SHORT_SIDE = 480  # subtitles of 3 % of the height are read as well as at 576, at under half the cost

ReadLines = Callable[[Image], tuple[TextLine, ...]]
Embed = Callable[[str], Vector]


@dataclass(frozen=True, kw_only=True)
class OCR(ExtractorSpec):
    """Text in up to `frames` key frames and three frames of the opening.

    The vector is `OCR_COLUMNS` and the embedding of the distinct lines, 384 values of unit length, or zeros without
    text. Absent only without frames, as the lack of text is a feature too. The note has the distinct `lines`.

    Source: PP-OCR, Du et al. 2020, arXiv 2009.09941; models PP-OCRv6 small (Apache-2.0) in the wheel `rapidocr`.
    """

    frames: Annotated[int, Field(ge=1)] = 6

    name: ClassVar[str] = "ocr"
    modality: ClassVar[str] = "screen"
    dim: ClassVar[int] = len(OCR_COLUMNS) + SENTENCE_DIM
    columns: ClassVar[tuple[str, ...]] = OCR_COLUMNS
    revision: ClassVar[str] = "1"
    has_note: ClassVar[bool] = True

    @property
    def frame_sample(self) -> FrameSample:
        """The frames to search for text."""
        return FrameSample(short_side=_SHORT_SIDE, keyframes=self.frames)

    @property
    def needs(self) -> tuple[Frames, Frames]:
        """Key frames and the opening, large enough for subtitles."""
        return self.frame_sample.needs

    def check(self, resolve: Resolver) -> None:
        """Check that the models are installed. Raises WeightsError."""
        DETECTOR.find()
        RECOGNISER.find()

    def load(self, device: str, resolve: Resolver) -> Encode:
        """Load the two models onto the CPU, and the sentence transformer. Raises WeightsError."""
        import torch

        return partial(self._encode, line_reader(torch.get_num_threads()), sentence_encoder(device))

    def read(self, read_lines: ReadLines, post: PostInput) -> ScreenText | None:
        """Read the text in the frames; None if there are no frames."""
        sample = self.frame_sample.frames(post.media)
        if sample is None:
            return None
        images, times = sample
        return ScreenText(times, tuple(read_lines(image) for image in images))

    def _encode(self, read_lines: ReadLines, embed: Embed, post: PostInput) -> VectorWithNote | None:
        text = self.read(read_lines, post)
        return None if text is None else VectorWithNote(ocr_vector(text, embed), {"lines": list(text.distinct)})


def ocr_vector(text: ScreenText, embed: Embed) -> Vector:
    """Return the values of `OCR_COLUMNS`, followed by the embedding of the text."""
    joined = " ".join(text.distinct)
    embedding = embed(joined) if joined else np.zeros(SENTENCE_DIM, np.float32)
    return np.concatenate([np.array(_statistics(text), np.float32), embedding])


def _statistics(text: ScreenText) -> list[float]:
    counts = [len(lines) for lines in text.lines]
    areas = [min(1.0, sum(line.area for line in lines)) for lines in text.lines]  # boxes may overlap
    has_text = np.array(counts) > 0
    confidences = [line.confidence for line in text.all_lines()]
    return [
        *(text.times.mean(has_text), text.times.mean(areas), max(areas)),
        *(text.times.opening_mean(has_text), text.times.opening_mean(areas), text.times.mean(counts)),
        *(float(np.log1p(n)) for n in (len(text.words), sum(map(len, text.distinct)))),
        len(text.distinct) / max(sum(counts), 1),
        float(np.mean(confidences)) if confidences else 0.0,
        *_thirds(text),
    ]


def _thirds(text: ScreenText) -> list[float]:
    areas = np.zeros(3)
    for line in text.all_lines():
        # Boxes may reach beyond the picture.
        areas[min(2, max(0, int(3 * line.height)))] += line.area
    return [float(area) for area in areas / max(areas.sum(), 1e-12)]
