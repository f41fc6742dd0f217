"""The text on the screen: how much there is, where and when, and what it means."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field

from viral.extractors.extractor import Sample, Told, Vector
from viral.extractors.frame_sampling import Glances
from viral.extractors.screen_text import DETECTOR, RECOGNISER, Image, ScreenText, TextLine, line_reader
from viral.extractors.sentences import SENTENCE_DIM, sentence_encoder
from viral.extractors.spec import Encode, ExtractorSpec, Resolve
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
"""The columns before the embedding. `share_of_time` is how much of the time there is text, `opening_share` how many of
the frames of the first 3 s have some; areas are shares of the picture; `lines_mean` is a frame's number of lines;
words and characters are those of the distinct lines, as log(1 + n); `renewal` is the distinct lines by all lines that
were seen, 1 where every frame says something new; `confidence` is the mean of the lines'; `top`, `middle` and `bottom`
are how the area of the text is shared among the thirds of the picture. All are 0 where there is no text."""

_SHORT_SIDE = 480
"""The subtitles of TikToks, 3 % of the height or less, are read at 480 as at the full 576, at under half the cost."""

ReadLines = Callable[[Image], tuple[TextLine, ...]]
Embed = Callable[[str], Vector]


@dataclass(frozen=True, kw_only=True)
class OCR(ExtractorSpec):
    """What is written in up to `frames` key frames and three frames of the opening.

    The vector is `OCR_COLUMNS`, then the embedding of the distinct lines: 384 values of length one, or zeros without
    text. That there is no text is a fact of its own: the vector is absent only where there are no pictures. The note
    holds the distinct `lines`.

    Source: PP-OCR, Du et al. 2020, arXiv 2009.09941; models PP-OCRv6 small (Apache-2.0) in the wheel `rapidocr`.
    """

    frames: Annotated[int, Field(ge=1)] = 6

    name: ClassVar[str] = "ocr"
    modality: ClassVar[str] = "screen"
    dim: ClassVar[int] = len(OCR_COLUMNS) + SENTENCE_DIM
    columns: ClassVar[tuple[str, ...]] = OCR_COLUMNS
    revision: ClassVar[str] = "1"
    tells: ClassVar[bool] = True

    @property
    def glances(self) -> Glances:
        """Which frames are read."""
        return Glances(short=_SHORT_SIDE, whole=self.frames)

    @property
    def needs(self) -> tuple[Frames, Frames]:
        """Key frames and the opening, large enough to be read."""
        return self.glances.needs

    def check(self, resolve: Resolve) -> None:
        """Make sure that the models are installed. Raises WeightsError."""
        DETECTOR.find()
        RECOGNISER.find()

    def load(self, device: str, resolve: Resolve) -> Encode:
        """Load the two models, which run on the CPU, and the sentence transformer. Raises WeightsError."""
        import torch

        return partial(self._encode, line_reader(torch.get_num_threads()), sentence_encoder(device))

    def read(self, lines: ReadLines, sample: Sample) -> ScreenText | None:
        """The text on the screen; None where there are no pictures."""
        seen = self.glances.at(sample.media)
        if seen is None:
            return None
        pictures, moments = seen
        return ScreenText(moments, tuple(lines(picture) for picture in pictures))

    def _encode(self, lines: ReadLines, embed: Embed, sample: Sample) -> Told | None:
        text = self.read(lines, sample)
        return None if text is None else Told(vector(text, embed), {"lines": list(text.distinct)})


def vector(text: ScreenText, embed: Embed) -> Vector:
    """The vector of what was read: `OCR_COLUMNS` and the embedding."""
    said = " ".join(text.distinct)
    meaning = embed(said) if said else np.zeros(SENTENCE_DIM, np.float32)
    return np.concatenate([np.array(_statistics(text), np.float32), meaning])


def _statistics(text: ScreenText) -> list[float]:
    counts = [len(lines) for lines in text.lines]
    # Boxes may overlap by their margins.
    areas = [min(1.0, sum(line.area for line in lines)) for lines in text.lines]
    shown = np.array(counts) > 0
    confidences = [line.confidence for line in text.every_line()]
    return [
        text.moments.mean(shown),
        text.moments.mean(areas),
        max(areas),
        text.moments.opening_mean(shown),
        text.moments.opening_mean(areas),
        text.moments.mean(counts),
        float(np.log1p(len(text.words))),
        float(np.log1p(sum(map(len, text.distinct)))),
        len(text.distinct) / max(sum(counts), 1),
        float(np.mean(confidences)) if confidences else 0.0,
        *_thirds(text),
    ]


def _thirds(text: ScreenText) -> list[float]:
    areas = np.zeros(3)
    for line in text.every_line():
        areas[min(2, max(0, int(3 * line.height)))] += line.area
    return [float(area) for area in areas / max(areas.sum(), 1e-12)]
