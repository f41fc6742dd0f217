"""Words, pairs of words and short runs of characters of the caption, by their hashes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from viral.extractors.extractor import Context, PostInput, Vector
from viral.extractors.spec import Encode, ExtractorSpec, Resolver

NGRAMS = 256  # per post at most: all those of about 150 characters, or of 40 words
WORDS = 128  # of these at most words and pairs of words, which come first
HASHES = 1 << 17  # of words, and as many of characters: with 100,000 terms, about half share one with no other
_CHARACTERS = (3, 4)  # lengths of runs: shorter ones say little, longer ones are words
_MAX_CHARACTERS = 2000  # a longer caption is cut off, as for the other inputs from captions
# Hashtags and mentions are words; in scripts without spaces (Thai, Lao, Japanese, Chinese) each character is a word.
_WORD = r"[\u0e00-\u0eff\u3040-\u30ff\u3400-\u9fff]|[#@]?\w+"

Hash = Callable[[str], npt.NDArray[np.int64]]


@dataclass(frozen=True, kw_only=True)
class Ngrams(ExtractorSpec):
    """Identifiers of the distinct n-grams of caption and hashtags, 1 to 2 * `HASHES`, filled up with zeros.

    Absent without caption and hashtags. Only a linear model reads them, which knows words
    that embeddings do not, as names, slang and new hashtags.
    Source: hashing, Weinberger et al. 2009, arXiv 0902.2206; scikit-learn's HashingVectorizer.
    """

    name: ClassVar[str] = "ngrams"
    modality: ClassVar[str] = "text"
    dim: ClassVar[int] = NGRAMS
    sparse: ClassVar[bool] = True
    revision: ClassVar[str] = "1"

    def load(self, device: str, resolve: Resolver) -> Encode:
        """Return the encoder; there is nothing to load."""
        words = _hash(ngram_range=(1, 2), token_pattern=_WORD)
        return partial(_encode, words, _hash(analyzer="char_wb", ngram_range=_CHARACTERS))


def _hash(**settings: Any) -> Hash:
    from sklearn.feature_extraction.text import HashingVectorizer

    # Without signs, which would let two n-grams with one hash cancel out.
    vectorizer = HashingVectorizer(n_features=HASHES, norm=None, alternate_sign=False, **settings)
    return lambda text: np.unique(vectorizer.transform([text]).indices).astype(np.int64)


def _encode(words: Hash, characters: Hash, post: PostInput) -> Vector | None:
    text = _text(post.context)
    if not text:
        return None
    # Those with the least hashes: an arbitrary choice, but the same one in every post.
    found = words(text)[:WORDS]
    found = np.concatenate([found, HASHES + characters(text)])[:NGRAMS]
    vector = np.zeros(NGRAMS, np.float32)
    vector[: len(found)] = 1 + found  # below 2 ** 24, so exact in single precision
    return vector


def _text(context: Context) -> str:
    """The caption, with those of the exporter's hashtags that it does not hold."""
    caption = (context.caption or "")[:_MAX_CHARACTERS].strip()
    # No more than have a place, since nothing bounds how many a post may have.
    tags = [f"#{tag.strip().lstrip('#')}" for tag in (context.hashtags or ())[:NGRAMS]]
    return " ".join([caption, *(tag for tag in tags if tag not in caption)]).strip()[:_MAX_CHARACTERS]
