"""When each word of a transcript is said: WhisperX's forced alignment, with aligners that are on this machine."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import numpy.typing as npt

from viral.errors import WeightsError
from viral.extractors.transcript import Transcript
from viral.extractors.whisperx_library import exactly, load_aligner

KNOWN_ALIGNERS = ("wav2vec2-base-960h",)
"""Aligners in `KNOWN_WEIGHTS`; it is one of English. Many others on the hub forbid commercial use."""

NEEDED = ("config.json", "preprocessor_config.json", "vocab.json")


class Aligners:
    """Aligners by language, loaded when the first post in it comes.

    Args:
        folders: for each language the folder of a wav2vec 2.0 model with a CTC head, as transformers saves it.
        device: where they run.
    """

    def __init__(self, folders: Mapping[str, Path], device: str) -> None:
        self._folders, self._device = folders, device
        self._loaded: dict[str, tuple[Any, dict[str, Any]]] = {}
        self._lock = Lock()

    def __call__(self, transcript: Transcript, samples: npt.NDArray[np.float32]) -> list[dict[str, Any]] | None:
        """Each word with its start and end in seconds and its score, as far as it has them.

        None where there is no aligner of the language.

        Raises:
            WeightsError: the folder of the language holds no aligner.
        """
        if transcript.language not in self._folders:
            return None
        import whisperx

        segments = [
            {"start": each.start, "end": each.end, "text": each.text} for each in transcript.segments if each.text
        ]
        with self._lock, exactly(self._device):
            model, alphabet = self._aligner(transcript.language)
            found = whisperx.align(segments, model, alphabet, samples, self._device)
        return [_word(each) for each in found["word_segments"]]

    def _aligner(self, language: str) -> tuple[Any, dict[str, Any]]:
        if language not in self._loaded:
            folder = self._folders[language]
            try:
                self._loaded[language] = load_aligner(language, str(folder), self._device)
            except ValueError as error:
                raise WeightsError(f"{folder} holds no wav2vec 2.0 model with a CTC head: {error}") from error
        return self._loaded[language]


def _word(found: Mapping[str, Any]) -> dict[str, Any]:
    times = {key: round(float(found[key]), 3) for key in ("start", "end", "score") if key in found}
    return {"word": str(found["word"]), **times}
