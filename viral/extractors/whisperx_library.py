"""WhisperX, as it must be loaded to be quiet, and to stay on this machine."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


def load_whisperx() -> None:
    """Import WhisperX and what it stands on. Call it before any other import of theirs.

    pyannote reports each use of a model to its makers unless it is told not to. WhisperX writes its log to standard
    output unless somebody else has set it up, and says there of every video without speech that it has none.
    """
    os.environ["PYANNOTE_METRICS_ENABLED"] = "false"
    ours = logging.getLogger("whisperx")
    if not ours.handlers:
        ours.addHandler(logging.NullHandler())
        ours.setLevel(logging.ERROR)
    logging.getLogger("lightning.pytorch.utilities.migration").setLevel(logging.WARNING)
    with warnings.catch_warnings():
        # It would decode files, for which it needs ffmpeg's libraries; we hand it arrays.
        warnings.filterwarnings("ignore", message=r"\s*torchcodec is not installed")
        import whisperx.alignment
        import whisperx.asr
        import whisperx.vads  # noqa: F401 - for what its import does


class _OneSentence:
    """A splitter of sentences that splits nothing."""

    def span_tokenize(self, text: str) -> list[tuple[int, int]]:
        return [(0, len(text))]


def load_aligner(language: str, folder: str, device: str) -> tuple[Any, dict[str, Any]]:
    """A wav2vec 2.0 model of a folder, and its alphabet, as WhisperX's `align` takes them. Raises ValueError.

    `align` splits segments into sentences with data of NLTK's, which it downloads where they are not there. We look at
    segments and words alone, so it is given a splitter that needs none.
    """
    load_whisperx()
    import whisperx.alignment

    whisperx.alignment.nltk_load = lambda _: _OneSentence()
    model, alphabet = whisperx.alignment.load_align_model(language, device, model_name=folder, model_cache_only=True)
    return model, alphabet


@contextmanager
def exactly(device: str) -> Iterator[None]:
    """Without gradients, and on a GPU without TF32 or algorithms picked by timing."""
    import torch

    with torch.inference_mode():
        if device.startswith("cuda"):
            with torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False):
                yield
        else:
            yield
