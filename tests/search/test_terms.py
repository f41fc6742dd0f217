"""Words of any script are terms that a query finds again."""

from __future__ import annotations

import pytest

from viral.search.snippets import snippets
from viral.search.terms import phrases, terms


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Café, don't! #DogsOfTikTok_2", ["cafe", "don", "t", "dogsoftiktok", "2"]),
        ("Đường phố Straße ΟΔΟΣ ёлка", ["duong", "pho", "strasse", "οδοσ", "елка"]),
        ("小猫 かわいい", ["小", "猫", "か", "わ", "い", "い"]),
        ("한국어 हिन्दी", ["한국어", "हिन्दी"]),  # with spaces between words, and vowels that are marks
        ("สวัสดี", ["ส", "ว", "ั", "ส", "ด", "ี"]),
        ("so 😂😂", ["so", "😂", "😂"]),
        ("… !? ", []),
    ],
)
def test_a_text_has_terms(text: str, expected: list[str]) -> None:
    found = terms(text)
    assert [term.text for term in found] == expected
    assert all(text[term.start : term.end] for term in found)


def test_a_query_has_words_and_phrases() -> None:
    assert phrases('Hello “big dog” 小猫 don\'t " " !!') == [["hello"], ["big", "dog"], ["小", "猫"], ["don", "t"]]
    assert phrases("?!") == []


def test_a_snippet_shows_the_matches() -> None:
    text = "long before " * 9 + "the Big\nDog runs " + "far " * 40
    found = snippets({"caption": text, "speech": "a big cat"}, [["big", "dog"], ["runs"]])
    assert list(found) == ["caption"]
    snippet = found["caption"]
    assert [snippet.text[start:end] for start, end in snippet.matches] == ["Big Dog", "runs"]
    assert snippet.text.startswith("…long before") or snippet.text.startswith("…before")
    assert snippet.text.endswith("…")
    assert len(snippet.text) < 110
