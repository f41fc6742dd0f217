"""Where a text holds the words of a query."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from viral.search.terms import terms
from viral.search.texts import Texts

_BEFORE, _AFTER = 30, 60  # letters around the first match: together with it, a line of a terminal


@dataclass(frozen=True)
class Snippet:
    """Part of a text with its matches, each as start and end in `text`."""

    text: str
    matches: tuple[tuple[int, int], ...]


def snippets(texts: Texts, phrases: Sequence[Sequence[str]]) -> dict[str, Snippet]:
    """Return the snippet of each text that holds a phrase, by place."""
    found = ((place, _snippet(text, phrases)) for place, text in texts.items())
    return {place: snippet for place, snippet in found if snippet}


def _snippet(text: str, phrases: Sequence[Sequence[str]]) -> Snippet | None:
    matches = _matches(text, phrases)
    if not matches:
        return None
    start, end = max(0, matches[0][0] - _BEFORE), min(len(text), matches[0][1] + _AFTER)
    # Whole words, unless they are very long.
    start = next((i + 1 for i in range(start, matches[0][0]) if start and text[i].isspace()), start)
    shown = "".join(" " if sign.isspace() else sign for sign in text[start:end])
    prefix, suffix = "…" if start else "", "…" if end < len(text) else ""
    shift = len(prefix) - start
    inside = tuple((first + shift, last + shift) for first, last in matches if last <= end)
    return Snippet(f"{prefix}{shown}{suffix}", inside)


def _matches(text: str, phrases: Sequence[Sequence[str]]) -> list[tuple[int, int]]:
    """Start and end of each match, in order, without overlaps."""
    found, words = list[tuple[int, int]](), terms(text)
    names = [word.text for word in words]
    for phrase in phrases:
        length = len(phrase)
        found += [
            (words[i].start, words[i + length - 1].end)
            for i in range(len(words) - length + 1)
            if names[i : i + length] == list(phrase)
        ]
    kept = list[tuple[int, int]]()
    for start, end in sorted(found):
        if not kept or start >= kept[-1][1]:
            kept.append((start, end))
    return kept
