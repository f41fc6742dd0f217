"""Text recognition in images: PP-OCR, run by RapidOCR on ONNX Runtime."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from threading import Lock
from typing import Any

import numpy as np
import numpy.typing as npt

from viral.extractors.frame_sampling import FrameTimes
from viral.weights.packaged import PackagedWeights

Image = npt.NDArray[np.uint8]

_REQUIREMENT = "rapidocr==3.10.0"
DETECTOR = PackagedWeights(_REQUIREMENT, "rapidocr", "models/PP-OCRv6_det_small.onnx", "090f04ab")
RECOGNISER = PackagedWeights(_REQUIREMENT, "rapidocr", "models/PP-OCRv6_rec_small.onnx", "6f327246")
_MIN_CONFIDENCE = 0.6  # stricter than RapidOCR's default of 0.5
_MIN_LETTERS = 2  # a single letter is nearly always an object that looks like one, for example a ring


@dataclass(frozen=True)
class TextLine:
    """A line of text in a frame, with its confidence, 0 to 1.

    `area` is the fraction of the picture that it covers, `height` the position of its middle, from 0 (top) to 1.
    """

    text: str
    confidence: float
    area: float
    height: float


@dataclass(frozen=True)
class ScreenText:
    """On-screen text of a video: the lines of each sampled frame, from top to bottom."""

    times: FrameTimes
    lines: tuple[tuple[TextLine, ...], ...]

    @property
    def distinct(self) -> tuple[str, ...]:
        """Distinct lines in order of appearance, compared without case and punctuation."""
        first: dict[str, str] = {}
        for line in self.all_lines():
            first.setdefault(" ".join(_words(line.text)), line.text.strip())
        return tuple(first.values())

    @property
    def words(self) -> frozenset[str]:
        """The distinct words, in lower case. In a script without spaces a line is one word."""
        return frozenset(word for line in self.all_lines() for word in _words(line.text))

    def all_lines(self) -> Iterator[TextLine]:
        """Iterate over the lines of all frames."""
        for lines in self.lines:
            yield from lines


def line_reader(threads: int) -> Callable[[Image], tuple[TextLine, ...]]:
    """Return a reader of uint8 RGB images (H, W, 3). `threads` also sets OpenCV's threads for the whole process.

    PP-OCRv6 small reads Latin, Chinese and Japanese script, but drops Vietnamese vowels with two diacritics. It reads
    no other script (Korean, Cyrillic, Arabic, Thai, ...); for Cyrillic and Arabic it returns nothing.

    Raises:
        WeightsError: the package or one of its models is missing. Nothing is ever downloaded.
    """
    # Without explicit paths RapidOCR would download the models.
    models = {"Det.model_path": str(DETECTOR.find()), "Rec.model_path": str(RECOGNISER.find())}
    import cv2
    from rapidocr import RapidOCR

    cv2.setNumThreads(threads)
    settings = {
        "Global.log_level": "error",
        "Global.text_score": _MIN_CONFIDENCE,
        "Global.use_cls": False,  # detection of upside-down lines, which do not occur on screen
        "Det.limit_side_len": 480,  # smaller images are enlarged; the default of 736 costs twice as much
        "EngineConfig.onnxruntime.intra_op_num_threads": threads,  # it ignores OMP_NUM_THREADS
        "EngineConfig.onnxruntime.inter_op_num_threads": 1,
    }
    engine, lock = RapidOCR(params=models | settings), Lock()

    def read(image: Image) -> tuple[TextLine, ...]:
        """Read the lines of an RGB image (height, width, 3)."""
        with lock:
            # RapidOCR expects BGR, as OpenCV does.
            result = engine(np.ascontiguousarray(image[:, :, ::-1]))
        return _lines(result, image.shape[0], image.shape[1])

    return read


def _lines(result: Any, height: int, width: int) -> tuple[TextLine, ...]:
    if result.boxes is None:
        return ()
    return tuple(
        TextLine(str(text), float(confidence), _area(box) / (height * width), float(box[:, 1].mean()) / height)
        for box, text, confidence in zip(result.boxes, result.txts, result.scores, strict=True)
        if sum(map(str.isalnum, text)) >= _MIN_LETTERS
    )


def _area(box: npt.NDArray[np.float32]) -> float:
    """Return the area of a quadrilateral, (4, 2), by the shoelace formula."""
    x, y = np.asarray(box, np.float64).T
    return float(abs(x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2)


def _words(text: str) -> list[str]:
    return re.findall(r"\w+(?:['\u2019]\w+)*", text.casefold())
