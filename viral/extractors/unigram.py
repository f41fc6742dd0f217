"""Unigram tokenizer: the most probable segmentation of a text into pieces of a vocabulary."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import lru_cache

_SPACE = "▁"  # SentencePiece's mark of the beginning of a word
_UNKNOWN_PENALTY = 10.0  # below the rarest piece, as in SentencePiece
_CACHED_WORDS = 20_000  # words of captions repeat; few MB


class UnigramTokenizer:
    """Maps texts to the numbers of pieces.

    Words are segmented one by one, as no piece crosses a blank. Written in Python because the library `tokenizers`
    takes more than a second to build a vocabulary of 250,000 pieces, in each process.

    Source: Kudo 2018, Subword regularization, arXiv 1804.10959.

    Args:
        pieces: the vocabulary.
        scores: logarithm of the probability of each piece.
        characters: replacements of characters before segmentation, by code point.
        unknown: number of the piece for characters outside the vocabulary; neighbouring ones become one piece.
    """

    def __init__(
        self, pieces: Sequence[str], scores: Sequence[float], characters: Mapping[int, str], unknown: int
    ) -> None:
        self._numbers = {piece: number for number, piece in enumerate(pieces) if scores[number] < 0}  # no `<s>` in text
        self._scores, self._characters, self._unknown = scores, characters, unknown
        self._longest = max(map(len, pieces))
        self._unknown_score = min(scores) - _UNKNOWN_PENALTY
        self._word = lru_cache(_CACHED_WORDS)(self._segment)

    def __call__(self, text: str) -> list[int]:
        """Return the pieces of a text; none for blanks."""
        return [number for word in text.translate(self._characters).split() for number in self._word(_SPACE + word)]

    def _segment(self, word: str) -> tuple[int, ...]:
        """Viterbi search over the positions between characters."""
        best = [0.0] + [-math.inf] * len(word)
        last = [(0, self._unknown)] * (len(word) + 1)  # start and number of the last piece of the best segmentation
        for start in range(len(word)):
            for stop in range(start + 1, min(start + self._longest, len(word)) + 1):
                number = self._numbers.get(word[start:stop])
                # A character outside the vocabulary is a piece of its own; longer unknown pieces are not considered.
                if number is None and stop > start + 1:
                    continue
                score = best[start] + (self._unknown_score if number is None else self._scores[number])
                if score > best[stop]:
                    best[stop], last[stop] = score, (start, self._unknown if number is None else number)
        numbers: list[int] = []
        stop = len(word)
        while stop:
            stop, number = last[stop]
            # Neighbouring unknown characters become one piece.
            if number != self._unknown or not numbers or numbers[-1] != number:
                numbers.append(number)
        return tuple(reversed(numbers))
