"""Wording features of captions: language, sentiment, calls to action and hashtags."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import numpy as np

from viral.extractors.calls_to_action import CALLS, find_calls
from viral.extractors.extractor import Context, PostInput, Vector
from viral.extractors.lexicon import FIRST_PERSON, HASHTAG, MENTION, SECOND_PERSON, split_words
from viral.extractors.spec import Encode, ExtractorSpec, Resolver

LANGUAGES = (
    *("en", "es", "pt", "fr", "de", "it", "nl", "pl", "ru", "uk", "tr"),
    *("ar", "fa", "hi", "id", "ms", "tl", "vi", "th", "ja", "ko", "zh"),
)
_VARIETIES = {"arz": "ar", "ary": "ar", "yue": "zh", "wuu": "zh"}  # spoken varieties, counted as their language
_NO_LANGUAGE = "zxx"  # py3langid's label for a text without language
_MIN_CONFIDENCE = 0.3  # of a detected language; names and captions of one or two words stay below
_MIN_OTHER = 0.5  # smallest probability at which a language outside LANGUAGES is accepted

HASHTAG_BUCKETS = 16
_MAX_CHARACTERS = 2000  # a longer caption is cut off, as VADER's time grows with the square of its length

WORDING_COLUMNS = (
    *(f"language_{code}" for code in LANGUAGES),
    "language_other",
    "language_confidence",
    "sentiment",
    "sentiment_positive",
    "sentiment_negative",
    "sentiment_known",
    "opens_with_question",
    "asks_viewer",
    "first_person_share",
    *(f"calls_to_{call}" for call in CALLS),
    "log_numbers",
    "opens_with_number",
    "numbered_part",
    *(f"hashtags_{bucket}" for bucket in range(HASHTAG_BUCKETS)),
)
"""The columns of the vector. At most one `language_` is 1, none if the confidence is under 0.3. `sentiment` is VADER's
compound score from -1 to 1, with its positive and negative fractions; they are 0, as is `sentiment_known`, unless the
caption is detected as English. `asks_viewer`: a question to "you". `numbered_part`: "part 2", "day 14". `hashtags_`: a
signed hashed bag of the distinct hashtags, of about unit length."""

_LINK = re.compile(r"https?://\S+|www\.\S+")
_SPACE = re.compile(r"[^\S\n]+")
# With the full-width marks of Chinese and Japanese, their full stop, and the ellipsis.
_QUESTION = "?\uff1f"
_SENTENCE_ENDS = f".!\u2026\u3002\uff01{_QUESTION}"
_SENTENCE = re.compile(rf"[^\n{_SENTENCE_ENDS}]+[{_SENTENCE_ENDS}]*")
_NUMBER = re.compile(r"\d+(?:[.,:]\d+)*")
_PART = re.compile(r"\b(?:part|pt|parte|partie|teil|phần|tập|ep|episode|day|día|dia|jour|tag|ngày)\.? ?#?\d+", re.I)

DetectLanguage = Callable[[str], tuple[str | None, float]]
"""Maps a text to its language, None if uncertain, and the confidence of the best guess."""
Sentiment = Callable[[str], Mapping[str, float]]


@dataclass(frozen=True, kw_only=True)
class Wording(ExtractorSpec):
    """Language, sentiment, phrasing and hashtags of the caption, as `WORDING_COLUMNS`.

    Absent without caption and hashtags. py3langid detects one of 22 languages or "other" in the text without hashtags,
    mentions and links. Phrases and pronouns cover few languages, sentiment only English.
    Source: VADER, Hutto and Gilbert 2014; hashing, Weinberger et al. 2009, arXiv 0902.2206.
    """

    name: ClassVar[str] = "wording"
    modality: ClassVar[str] = "text"
    dim: ClassVar[int] = len(WORDING_COLUMNS)
    columns: ClassVar[tuple[str, ...]] = WORDING_COLUMNS
    revision: ClassVar[str] = "1"

    def load(self, device: str, resolve: Resolver) -> Encode:
        """Load the language model and the lexicon from their wheels."""
        from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

        return partial(_encode, _detector(), SentimentIntensityAnalyzer().polarity_scores)


def language_detector() -> Callable[[str], str | None]:
    """Load the language model. Returns a function that maps a caption to its language code, None if uncertain."""
    detect = _detector()
    return lambda caption: detect(_without_mentions(_text(caption.strip()[:_MAX_CHARACTERS])))[0]


def _detector() -> DetectLanguage:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return partial(_detect, LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True).rank)


def _encode(detect: DetectLanguage, sentiment: Sentiment, post: PostInput) -> Vector | None:
    caption = (post.context.caption or "").strip()[:_MAX_CHARACTERS]
    tags = _hashtags(post.context)
    if not caption and not tags:
        return None
    text = _text(caption)
    plain = _without_mentions(text)
    language, confidence = detect(plain)
    values = (
        *(float(language == code) for code in LANGUAGES),
        float(language is not None and language not in LANGUAGES),
        confidence,
        *_sentiment(sentiment, plain, english=language == "en"),
        *_questions_and_pronouns(plain),
        *map(float, find_calls(text).values()),
        *_numbers(plain),
        *_hash_hashtags(tags),
    )
    return np.array(values, dtype=np.float32)


def _text(caption: str) -> str:
    """Remove links and hashtags, and replace mentions by @."""
    return _collapse_spaces(MENTION.sub("@", HASHTAG.sub(" ", _LINK.sub(" ", caption))))


def _without_mentions(text: str) -> str:
    return _collapse_spaces(text.replace("@", " "))


def _collapse_spaces(text: str) -> str:
    return _SPACE.sub(" ", text).strip()


def _hashtags(context: Context) -> set[str]:
    tags = HASHTAG.findall(context.caption or "") if context.hashtags is None else context.hashtags
    return {tag.strip().lstrip("#").casefold() for tag in tags} - {""}


def _detect(rank: Callable[[str], list[tuple[str, float]]], text: str) -> tuple[str | None, float]:
    ranked = rank(text)
    best, probability = ranked[0]
    if best == _NO_LANGUAGE or not any(map(str.isalpha, text)):
        return None, 0.0
    if _VARIETIES.get(best, best) not in LANGUAGES and probability >= _MIN_OTHER:
        return best, probability
    # Choose among LANGUAGES only, or short captions would be assigned to one of a hundred rare languages.
    totals = dict.fromkeys(LANGUAGES, 0.0)
    for code, value in ranked:
        if (listed := _VARIETIES.get(code, code)) in totals:
            totals[listed] += value
    language = max(totals, key=lambda code: totals[code])
    confidence = totals[language] / max(sum(totals.values()), 1e-9)
    return (language if confidence >= _MIN_CONFIDENCE else None), confidence


def _sentiment(sentiment: Sentiment, text: str, *, english: bool) -> tuple[float, ...]:
    if not english:
        return (0.0, 0.0, 0.0, 0.0)
    scores = sentiment(text)
    return (scores["compound"], scores["pos"], scores["neg"], 1.0)


def _questions_and_pronouns(text: str) -> tuple[float, ...]:
    sentences = _SENTENCE.findall(text)
    questions = [sentence for sentence in sentences if sentence[-1] in _QUESTION]
    asks = any(not SECOND_PERSON.isdisjoint(split_words(question)) for question in questions)
    words = split_words(text)
    first_person = sum(word in FIRST_PERSON for word in words)
    # Whether it opens with a question.
    return (float(bool(questions) and questions[0] is sentences[0]), float(asks), first_person / max(len(words), 1))


def _numbers(text: str) -> tuple[float, ...]:
    numbers = _NUMBER.findall(text)
    return (math.log1p(len(numbers)), float(bool(_NUMBER.match(text))), float(bool(_PART.search(text))))


def _hash_hashtags(tags: set[str]) -> list[float]:
    bag = [0.0] * HASHTAG_BUCKETS
    for tag in sorted(tags):
        digest = hashlib.blake2b(tag.encode("utf-8", "surrogatepass"), digest_size=8).digest()
        # A sign per tag, so that tags that share a bucket cancel out on average instead of adding up.
        bag[digest[0] % HASHTAG_BUCKETS] += (1.0 if digest[1] & 1 else -1.0) / math.sqrt(len(tags))
    return bag
