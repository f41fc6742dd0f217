"""Word times of a transcript: WhisperX's forced alignment with local models."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import numpy.typing as npt

from viral.errors import WeightsError
from viral.extractors.network import inference
from viral.extractors.transcript import Transcript
from viral.extractors.whisperx_library import load_aligner

ALIGNMENT_MODELS = ("wav2vec2-base-960h",)
"""Aligners in `CATALOGUE`, for English only, as many others forbid commercial use."""
REQUIRED_FILES = ("config.json", "preprocessor_config.json", "vocab.json")


class Aligners:
    """Aligners by language, each loaded on the first post in its language.

    Args:
        folders: by language, the folder of a wav2vec 2.0 model with a CTC head, as saved by transformers.
        device: the device of the models.
    """

    def __init__(self, folders: Mapping[str, Path], device: str) -> None:
        self._folders, self._device = folders, device
        self._loaded: dict[str, tuple[Any, dict[str, Any]]] = {}
        self._lock = Lock()

    def __call__(self, transcript: Transcript, samples: npt.NDArray[np.float32]) -> list[dict[str, Any]] | None:
        """Return the words with start, end (seconds) and score, as far as available; None without an aligner.

        Raises:
            WeightsError: the folder of the language is not an aligner.
        """
        if transcript.language not in self._folders:
            return None
        import whisperx

        segments = [{"start": s.start, "end": s.end, "text": s.text} for s in transcript.segments if s.text]
        # In float32 whatever Whisper's precision: times of words are not part of the vector.
        with self._lock, inference(self._device, "float32"):
            model, alphabet = self._aligner(transcript.language)
            result = whisperx.align(segments, model, alphabet, samples, self._device)
        return [_word(word) for word in result["word_segments"]]

    def _aligner(self, language: str) -> tuple[Any, dict[str, Any]]:
        if language not in self._loaded:
            folder = self._folders[language]
            try:
                self._loaded[language] = load_aligner(language, str(folder), self._device)
            except ValueError as error:
                raise WeightsError(f"{folder} is not a wav2vec 2.0 model with a CTC head: {error}") from error
        return self._loaded[language]


def _word(word: Mapping[str, Any]) -> dict[str, Any]:
    times = {key: round(float(word[key]), 3) for key in ("start", "end", "score") if key in word}
    return {"word": str(word["word"]), **times}
