"""Faces of frames: found by YuNet, described by SFace. Used by face targets alone, which are off unless switched on.

Descriptions exist in memory while a frame is compared with a target, and nowhere else.

Source: Wu, Peng and Yu 2023, YuNet (MIT); Zhong, Deng, Hu et al. 2021, SFace (Apache-2.0); both as OpenCV runs them.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from viral.errors import WeightsError
from viral.extractors.faces import YUNET
from viral.monitor.detector.backbone import SHORT_SIDE, Features
from viral.weights.catalogue import Resolver

FACES = "sface"
"""Name of the network of face targets, where others name their backbone."""
FACE_DIM = 128
_MIN_SCORE, _NMS_THRESHOLD = 0.8, 0.3  # as of the extractor `faces`


class FaceNetwork:
    """Describes the faces of frames; the counterpart of `Backbone`. Not thread-safe.

    Args:
        resolve: locates the weights.
        weights: file of SFace's weights (`face_recognition_sface_2021dec.onnx` of the OpenCV Zoo).

    Raises:
        WeightsError: the weights are missing, or OpenCV cannot read them.
    """

    def __init__(self, resolve: Resolver, weights: str) -> None:
        import cv2

        path = resolve(weights)
        self._detector = cv2.FaceDetectorYN.create(
            str(YUNET.find()), "", (SHORT_SIDE, SHORT_SIDE), _MIN_SCORE, _NMS_THRESHOLD
        )
        try:
            self._recognizer = cv2.FaceRecognizerSF.create(str(path), "")
        except cv2.error as error:
            raise WeightsError(f"{path} holds no weights that OpenCV can read: give SFace's ONNX file") from error

    def windows(self, frames: npt.NDArray[np.uint8]) -> Features:
        """Descriptions (T, F, 128) of length 1 of the faces of frames uint8 (T, H, W, 3).

        F is the largest number of faces, at least 1; a frame with fewer has zeros, which are like no face.
        """
        found = [self._faces(frame) for frame in frames]
        descriptions = np.zeros((len(frames), max([1, *map(len, found)]), FACE_DIM), np.float32)
        for row, faces in zip(descriptions, found, strict=True):
            row[: len(faces)] = faces
        return descriptions

    def _faces(self, frame: npt.NDArray[np.uint8]) -> Features:
        image = np.ascontiguousarray(frame[:, :, ::-1])  # OpenCV expects BGR
        self._detector.setInputSize((image.shape[1], image.shape[0]))
        _, boxes = self._detector.detect(image)
        crops = [self._recognizer.alignCrop(image, box) for box in (() if boxes is None else boxes)]
        features = np.array([self._recognizer.feature(crop)[0] for crop in crops], np.float32).reshape(-1, FACE_DIM)
        return np.asarray(features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-6), np.float32)
