"""Loading of WhisperX without log noise, downloads and telemetry."""

from __future__ import annotations

import logging
import os
import warnings
from typing import Any


def load_whisperx() -> None:
    """Import WhisperX and its dependencies. Call this before any other import of them.

    pyannote sends telemetry on each use of a model unless it is disabled. WhisperX logs to standard output unless its
    logger has a handler, with a line for every video without speech.
    """
    os.environ["PYANNOTE_METRICS_ENABLED"] = "false"
    logger = logging.getLogger("whisperx")
    if not logger.handlers:
        logger.addHandler(logging.NullHandler())
        logger.setLevel(logging.ERROR)
    logging.getLogger("lightning.pytorch.utilities.migration").setLevel(logging.WARNING)
    with warnings.catch_warnings():
        # torchcodec would decode files, but WhisperX gets arrays here.
        warnings.filterwarnings("ignore", message=r"\s*torchcodec is not installed")
        import whisperx.alignment
        import whisperx.asr
        import whisperx.vads  # noqa: F401 - imported for its side effects


class NoSpeechRecorder:
    """A CTranslate2 Whisper that records the probability of no speech per chunk, which WhisperX does not request."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self.probabilities: list[float] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)

    def generate(self, *arguments: Any, **options: Any) -> Any:
        """Call the model's `generate` and append a probability per chunk of the batch."""
        results = self._model.generate(*arguments, return_no_speech_prob=True, **options)
        self.probabilities += [result.no_speech_prob for result in results]
        return results


class _OneSentence:
    """A sentence splitter that returns the text as one sentence."""

    def span_tokenize(self, text: str) -> list[tuple[int, int]]:
        """Return the span of the whole text."""
        return [(0, len(text))]


def load_aligner(language: str, folder: str, device: str) -> tuple[Any, dict[str, Any]]:
    """Load a wav2vec 2.0 model and its alphabet, for WhisperX's `align`. Raises ValueError.

    `align` would download NLTK data to split segments into sentences. Sentences are not used here, so the splitter is
    replaced by one that needs no data.
    """
    load_whisperx()
    import whisperx.alignment

    whisperx.alignment.nltk_load = lambda _: _OneSentence()
    model, alphabet = whisperx.alignment.load_align_model(language, device, model_name=folder, model_cache_only=True)
    return model, alphabet
