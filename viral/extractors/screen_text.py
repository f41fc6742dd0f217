"""Text in pictures: found and read by PP-OCR, by RapidOCR on ONNX Runtime."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from threading import Lock
from typing import Any

import numpy as np
import numpy.typing as npt

from viral.extractors.frame_sampling import Moments
from viral.weights.packaged import PackagedWeights

Image = npt.NDArray[np.uint8]

_REQUIREMENT = "rapidocr==3.10.0"
DETECTOR = PackagedWeights(_REQUIREMENT, "rapidocr", "models/PP-OCRv6_det_small.onnx", "090f04ab")
RECOGNISER = PackagedWeights(_REQUIREMENT, "rapidocr", "models/PP-OCRv6_rec_small.onnx", "6f327246")
_LEAST_CONFIDENCE = 0.6
_LEAST_LETTERS = 2
"""A single letter is nearly always something that only looks like one: a ring, a pole, an ear."""


@dataclass(frozen=True)
class TextLine:
    """A line of text in a frame: what it says, and how sure that is, 0 to 1.

    `area` is the share of the picture that it covers; `height` is where its middle is, from 0 at the top to 1.
    """

    text: str
    confidence: float
    area: float
    height: float


@dataclass(frozen=True)
class ScreenText:
    """What a video shows as text: for each of the frames that were looked at its lines, from top to bottom."""

    moments: Moments
    lines: tuple[tuple[TextLine, ...], ...]

    @property
    def distinct(self) -> tuple[str, ...]:
        """What the lines say, each once, in the order in which they come; case and punctuation make no difference."""
        first: dict[str, str] = {}
        for line in self.every_line():
            first.setdefault(" ".join(_words(line.text)), line.text.strip())
        return tuple(first.values())

    @property
    def words(self) -> frozenset[str]:
        """The distinct words, in lower case. A script without spaces gives a word a line."""
        return frozenset(word for line in self.every_line() for word in _words(line.text))

    def every_line(self) -> Iterator[TextLine]:
        """The lines of all frames, one frame after the other."""
        for lines in self.lines:
            yield from lines


def line_reader(threads: int) -> Callable[[Image], tuple[TextLine, ...]]:
    """Reads the lines of a picture, uint8 RGB (H, W, 3), on so many threads (OpenCV's are set for the whole process).

    PP-OCRv6 small reads Latin, Chinese and Japanese script, but drops the Vietnamese vowels that bear two marks.
    It knows no other script (Korean, Cyrillic, Arabic, Thai, ...): of Cyrillic and Arabic it gives nothing.

    Raises:
        WeightsError: the package or one of its models is missing. Nothing is ever downloaded.
    """
    # Named outright: where RapidOCR is left to look for its models itself, it downloads those that it misses.
    models = {"Det.model_path": str(DETECTOR.find()), "Rec.model_path": str(RECOGNISER.find())}
    import cv2
    from rapidocr import RapidOCR

    cv2.setNumThreads(threads)
    settings = {
        "Global.log_level": "error",
        "Global.text_score": _LEAST_CONFIDENCE,
        "Global.use_cls": False,  # whether a line stands on its head, which on screen it never does
        "Det.limit_side_len": 480,  # smaller pictures are enlarged: by default to 736, at twice the cost
        "EngineConfig.onnxruntime.intra_op_num_threads": threads,  # it does not heed OMP_NUM_THREADS
        "EngineConfig.onnxruntime.inter_op_num_threads": 1,
    }
    engine, lock = RapidOCR(params=models | settings), Lock()

    def read(image: Image) -> tuple[TextLine, ...]:
        with lock:
            found = engine(np.ascontiguousarray(image[:, :, ::-1]))
        return _lines(found, image.shape[0], image.shape[1])

    return read


def _lines(found: Any, height: int, width: int) -> tuple[TextLine, ...]:
    if found.boxes is None:
        return ()
    return tuple(
        TextLine(str(text), float(confidence), _area(box) / (height * width), float(box[:, 1].mean()) / height)
        for box, text, confidence in zip(found.boxes, found.txts, found.scores, strict=True)
        if sum(map(str.isalnum, text)) >= _LEAST_LETTERS
    )


def _area(box: npt.NDArray[np.float32]) -> float:
    """The area of a quadrilateral, (4, 2), by the shoelace formula."""
    x, y = np.asarray(box, np.float64).T
    return float(abs(x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2)


def _words(text: str) -> list[str]:
    return re.findall(r"\w+(?:['\u2019]\w+)*", text.casefold())
