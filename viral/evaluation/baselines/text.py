"""Linear models of the words in the caption."""

from __future__ import annotations

from viral.evaluation.baselines.baseline import Inputs, Rows, Unavailable, row_indices, sample
from viral.evaluation.baselines.shallow import fit_linear
from viral.models.predictions import PredictionBatch

_MAX_CAPTIONS = 10_000  # to fit on: keeps the fit to seconds
_MAX_TERMS = 20_000  # the most frequent terms: limits the size of the models
_PENALTY = 3.0  # untuned
# Hashtags and mentions are words; in scripts without spaces (Thai, Lao, Japanese, Chinese) each character is a word.
_WORD = r"[\u0e00-\u0eff\u3040-\u30ff\u3400-\u9fff]|[#@]?\w+"


def text_linear(inputs: Inputs, train: Rows, test: Rows) -> PredictionBatch | Unavailable:
    """Logistic and ridge regression on the caption's words and pairs of words (TF-IDF)."""
    if inputs.captions is None:
        return Unavailable("the corpus has no captions")
    from sklearn.feature_extraction.text import TfidfVectorizer

    texts = [caption or "" for caption in inputs.captions]
    rows, test_rows = sample(row_indices(train), _MAX_CAPTIONS), row_indices(test)
    terms = TfidfVectorizer(
        # A word that occurs once says nothing about other posts.
        ngram_range=(1, 2),
        min_df=2,
        max_features=_MAX_TERMS,
        sublinear_tf=True,
        token_pattern=_WORD,
    )
    try:
        x = terms.fit_transform([texts[row] for row in rows])
    except ValueError:  # scikit-learn's error for an empty vocabulary
        return Unavailable("no word occurs in the captions of two training posts")
    return fit_linear(x, terms.transform([texts[row] for row in test_rows]), inputs, rows, penalty=_PENALTY)
