"""How a caption is worded: its language, its mood, what it asks of viewers, and which hashtags it carries."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import numpy as np

from viral.extractors.calls_to_action import CALLS, calls_in
from viral.extractors.extractor import Context, Sample, Vector
from viral.extractors.lexicon import FIRST_PERSON, HASHTAG, MENTION, SECOND_PERSON, words_of
from viral.extractors.spec import Encode, ExtractorSpec, Resolve

LANGUAGES = (
    *("en", "es", "pt", "fr", "de", "it", "nl", "pl", "ru", "uk", "tr"),
    *("ar", "fa", "hi", "id", "ms", "tl", "vi", "th", "ja", "ko", "zh"),
)
_VARIETIES = {"arz": "ar", "ary": "ar", "yue": "zh", "wuu": "zh"}
_NO_LANGUAGE = "zxx"
_TOLD = 0.3
"""The confidence from which a language counts as told: below are captions of a word or two, and names."""
_OUTSIDE = 0.5
"""The probability from which a language that is not listed is believed."""

BUCKETS = 16
_READ = 2000
"""Characters of a caption that are looked at: VADER's time grows with their square."""

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
    *(f"hashtags_{bucket}" for bucket in range(BUCKETS)),
)
"""The columns of the vector. At most one `language_` is 1: none where the confidence, which is always given, is under
0.3. `sentiment` is VADER's compound from -1 to 1, with the shares of positive and negative; they are 0, and
`sentiment_known` too, where the caption is not told to be English. `asks_viewer`: a question to "you".
`numbered_part`: "part 2", "day 14". `hashtags_`: a signed hashed bag of the different hashtags, of about length one."""

_LINK = re.compile(r"https?://\S+|www\.\S+")
_SPACE = re.compile(r"[^\S\n]+")
_QUESTION = "?\uff1f"
_ENDS = f".!\u2026\u3002\uff01{_QUESTION}"
_SENTENCE = re.compile(rf"[^\n{_ENDS}]+[{_ENDS}]*")
_NUMBER = re.compile(r"\d+(?:[.,:]\d+)*")
_PART = re.compile(r"\b(?:part|pt|parte|partie|teil|phần|tập|ep|episode|day|día|dia|jour|tag|ngày)\.? ?#?\d+", re.I)

Tell = Callable[[str], tuple[str | None, float]]
"""The language of a text, or None where it cannot be told, and the confidence of the best guess."""
Mood = Callable[[str], Mapping[str, float]]


@dataclass(frozen=True, kw_only=True)
class Wording(ExtractorSpec):
    """The traits of a caption beside those of `metadata`, as `WORDING_COLUMNS`.

    Absent where there is neither a caption nor a hashtag. The language is py3langid's guess among 22 and "other", from
    the text without hashtags, mentions and links; phrases and persons are known in few languages, sentiment in English
    alone. Source: VADER, Hutto and Gilbert 2014; hashing, Weinberger et al. 2009, arXiv 0902.2206.
    """

    name: ClassVar[str] = "wording"
    modality: ClassVar[str] = "text"
    dim: ClassVar[int] = len(WORDING_COLUMNS)
    columns: ClassVar[tuple[str, ...]] = WORDING_COLUMNS
    revision: ClassVar[str] = "1"

    def load(self, device: str, resolve: Resolve) -> Encode:
        """Load the language model and the lexicon, which are in their wheels."""
        from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

        return partial(_encode, _teller(), SentimentIntensityAnalyzer().polarity_scores)


def language_teller() -> Callable[[str], str | None]:
    """Load the language model: from a caption to the code of its language, None where it cannot be told."""
    tell = _teller()
    return lambda caption: tell(_plain(_text(caption.strip()[:_READ])))[0]


def _teller() -> Tell:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return partial(_told, LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True).rank)


def _encode(tell: Tell, mood: Mood, sample: Sample) -> Vector | None:
    caption = (sample.context.caption or "").strip()[:_READ]
    tags = _hashtags(sample.context)
    if not caption and not tags:
        return None
    text = _text(caption)
    plain = _plain(text)
    language, confidence = tell(plain)
    values = (
        *(float(language == code) for code in LANGUAGES),
        float(language is not None and language not in LANGUAGES),
        confidence,
        *_sentiment(mood, plain, known=language == "en"),
        *_address(plain),
        *map(float, calls_in(text).values()),
        *_numbers(plain),
        *_hashed(tags),
    )
    return np.array(values, dtype=np.float32)


def _text(caption: str) -> str:
    """Without links and hashtags, each mention an @."""
    return _spaced(MENTION.sub("@", HASHTAG.sub(" ", _LINK.sub(" ", caption))))


def _plain(text: str) -> str:
    return _spaced(text.replace("@", " "))


def _spaced(text: str) -> str:
    return _SPACE.sub(" ", text).strip()


def _hashtags(context: Context) -> set[str]:
    given: Iterable[str] = context.hashtags or ()
    if context.hashtags is None:
        given = HASHTAG.findall(context.caption or "")
    return {tag.strip().lstrip("#").casefold() for tag in given} - {""}


def _told(rank: Callable[[str], list[tuple[str, float]]], text: str) -> tuple[str | None, float]:
    ranked = rank(text)
    best, probability = ranked[0]
    if best == _NO_LANGUAGE or not any(map(str.isalpha, text)):
        return None, 0.0
    if _VARIETIES.get(best, best) not in LANGUAGES and probability >= _OUTSIDE:
        return best, probability
    # Among the languages of most posts alone: so that a short caption is not taken for one of a hundred rare ones.
    shares = dict.fromkeys(LANGUAGES, 0.0)
    for code, share in ranked:
        if (listed := _VARIETIES.get(code, code)) in shares:
            shares[listed] += share
    language = max(shares, key=lambda code: shares[code])
    confidence = shares[language] / max(sum(shares.values()), 1e-9)
    return (language if confidence >= _TOLD else None), confidence


def _sentiment(mood: Mood, text: str, *, known: bool) -> tuple[float, ...]:
    if not known:
        return (0.0, 0.0, 0.0, 0.0)
    scores = mood(text)
    return (scores["compound"], scores["pos"], scores["neg"], 1.0)


def _address(text: str) -> tuple[float, ...]:
    sentences = _SENTENCE.findall(text)
    questions = [sentence for sentence in sentences if sentence[-1] in _QUESTION]
    asks = any(not SECOND_PERSON.isdisjoint(words_of(question)) for question in questions)
    words = words_of(text)
    mine = sum(word in FIRST_PERSON for word in words)
    return (float(bool(questions) and questions[0] is sentences[0]), float(asks), mine / max(len(words), 1))


def _numbers(text: str) -> tuple[float, ...]:
    numbers = _NUMBER.findall(text)
    return (math.log1p(len(numbers)), float(bool(_NUMBER.match(text))), float(bool(_PART.search(text))))


def _hashed(tags: set[str]) -> list[float]:
    bag = [0.0] * BUCKETS
    for tag in sorted(tags):
        digest = hashlib.blake2b(tag.encode("utf-8", "surrogatepass"), digest_size=8).digest()
        bag[digest[0] % BUCKETS] += (1.0 if digest[1] & 1 else -1.0) / math.sqrt(len(tags))
    return bag
