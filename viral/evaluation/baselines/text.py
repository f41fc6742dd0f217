"""What the words of the caption say, by linear models."""

from __future__ import annotations

from viral.evaluation.baselines.baseline import Inputs, Predicted, Rows, Unavailable, positions, some
from viral.evaluation.baselines.shallow import linear

_LIMIT = 10_000  # captions to learn from: it stays a matter of seconds
_TERMS = 20_000
_PENALTY = 3.0
# Hashtags and mentions are words; of scripts without spaces (Thai, Lao, Japanese, Chinese) each letter is one.
_WORD = r"[\u0e00-\u0eff\u3040-\u30ff\u3400-\u9fff]|[#@]?\w+"


def text_linear(inputs: Inputs, train: Rows, test: Rows) -> Predicted | Unavailable:
    """Logistic and ridge regression on the caption's words and pairs of words (TF-IDF)."""
    if inputs.captions is None:
        return Unavailable("the corpus has no captions")
    from sklearn.feature_extraction.text import TfidfVectorizer

    texts = [caption or "" for caption in inputs.captions]
    learnt, asked = some(positions(train), _LIMIT), positions(test)
    terms = TfidfVectorizer(ngram_range=(1, 2), min_df=2, max_features=_TERMS, sublinear_tf=True, token_pattern=_WORD)
    try:
        x = terms.fit_transform([texts[at] for at in learnt])
    except ValueError:  # its way to say that no term is left
        return Unavailable("no word stands in the captions of two training posts")
    return linear(x, terms.transform([texts[at] for at in asked]), inputs, learnt, strength=_PENALTY)
