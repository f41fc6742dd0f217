"""Words of captions in any language, in DuckDB's SQL."""

from __future__ import annotations

# RE2's classes: letters, marks and numbers of any script. Marks are the vowels of Hindi and Thai, among others.
_SIGNS = r"\p{L}\p{M}\p{N}"
_APOSTROPHES = r"''\x{2019}"  # the first of the two is doubled, as in SQL
# What is no word of a caption: entities of HTML, links, hashtags (with either hash), mentions.
_NO_WORDS = rf"&#?\w+;|(?:https?://|www\.)\S+|[#\x{{FF03}}][{_SIGNS}_]+|@[{_SIGNS}_.]+"
_WORD = rf"[\p{{L}}\p{{N}}][{_SIGNS}{_APOSTROPHES}]*"
# Chinese and Japanese have no blanks: there, each pair of neighbouring signs stands for a word, as in search engines.
_IDEOGRAPHS = r"^[\p{Han}\p{Hiragana}\p{Katakana}\x{30FC}]{2,}$"

WORDS = rf"""
WITH texts AS (
    SELECT i, regexp_replace(lower(nfc_normalize(caption)), '{_NO_WORDS}', ' ', 'g') AS text FROM post
    WHERE caption IS NOT NULL
), runs AS (
    SELECT i, replace(unnest(list_distinct(regexp_extract_all(text, '{_WORD}'))), chr(8217), '''') AS run FROM texts
)
SELECT unnest(CASE WHEN regexp_matches(run, '{_IDEOGRAPHS}')
    THEN list_transform(range(1, length(run)), lambda n: substring(run, n, 2)) ELSE [run] END) AS item, i
FROM runs WHERE length(run) >= 2 AND regexp_matches(run, '\p{{L}}')
"""  # noqa: S608 - no input of a user
"""SELECT of `item`, a word of at least two signs in lower case that has a letter, and of the post `i` that has it."""
