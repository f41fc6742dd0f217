"""Words of a text in any script: what is indexed, and what a query looks for."""

from __future__ import annotations

import re
import sys
import unicodedata
from dataclasses import dataclass
from functools import cache, lru_cache

_DIACRITICS = re.compile("[\u0300-\u036f]")  # of Latin, Greek and Cyrillic; marks of other scripts are vowels
_WITHOUT_PARTS = str.maketrans("đøłı", "doli")  # letters that Unicode does not decompose
_UNSPACED = (  # scripts without spaces between words: each of their signs is a term, a word of theirs is a phrase
    "\u0e00-\u0eff\u0f00-\u0fff\u1000-\u109f\u1780-\u17ff"  # Thai, Lao, Tibetan, Burmese, Khmer
    "\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff\uff66-\uff9f"  # Japanese
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"  # Han
)


@dataclass(frozen=True)
class Term:
    """A term of a text, and where it stands there."""

    text: str
    start: int
    end: int


def terms(text: str) -> list[Term]:
    """Split a text into terms, without case and diacritics: words, single signs of unspaced scripts, and emoji."""
    found = ((fold(match.group()), match) for match in _pattern().finditer(text))
    return [Term(folded, match.start(), match.end()) for folded, match in found if folded]


def phrases(query: str) -> list[list[str]]:
    """Split a query into what a post must hold: words, each as its terms, and phrases in quotation marks."""
    parts = re.findall(r'"([^"]*)"|(\S+)', query.translate({ord(sign): '"' for sign in "“”„«»"}))
    found = [[term.text for term in terms(quoted or word)] for quoted, word in parts]
    return [phrase for phrase in found if phrase]


@lru_cache(100_000)  # most words of captions are common ones: twice as fast
def fold(word: str) -> str:
    """Remove case, diacritics and variants of form from a word: `Café` becomes `cafe`."""
    if word.isascii():
        return word.lower()
    decomposed = unicodedata.normalize("NFKD", word.casefold())
    return unicodedata.normalize("NFKC", _DIACRITICS.sub("", decomposed)).translate(_WITHOUT_PARTS).replace(" ", "")


@cache
def _pattern() -> re.Pattern[str]:
    marks, symbols = _ranges("M"), _ranges("So")
    return re.compile(f"[{_UNSPACED}]|(?:(?![{_UNSPACED}_])[\\w{marks}])+|[{symbols}]")


def _ranges(category: str) -> str:
    """Characters of a Unicode category, as ranges of a regular expression."""
    ranges, start, previous = list[str](), -1, -2
    for code in [*(c for c in range(sys.maxunicode) if unicodedata.category(chr(c)).startswith(category)), -1]:
        if code != previous + 1:
            if start >= 0:
                ranges.append(f"\\U{start:08x}-\\U{previous:08x}")
            start = code
        previous = code
    return "".join(ranges)
