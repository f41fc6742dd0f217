"""Word splitting of captions, and pronouns of the first and second person."""

from __future__ import annotations

import re

HASHTAG = re.compile(r"#\w+")
MENTION = re.compile(r"@[\w.]+")
_WORD = re.compile(r"[^\W_]+(?:['\u2019][^\W_]+)*")

_YOU = ("you", "your", "yours", "yourself", "u", "ur", "y'all", "yall", "you're", "you'll", "you've", "you'd")
_YOU_ELSEWHERE = ("vous", "votre", "vos", "toi", "usted", "tú", "você", "vocês", "dich", "dir", "kamu", "kalian", "bạn")
SECOND_PERSON = frozenset((*_YOU, *_YOU_ELSEWHERE))

_I = ("i", "me", "my", "mine", "myself", "i'm", "im", "i've", "ive", "i'll", "i'd")
_WE = ("we", "us", "our", "ours", "ourselves", "we're", "we've", "we'll", "we'd")
_ROMANCE = ("yo", "mi", "mis", "mí", "nosotros", "eu", "meu", "minha", "je", "moi", "mon", "mes", "nous", "notre", "io")
_OTHERS = ("ich", "mich", "mir", "mein", "meine", "wir", "uns", "aku", "saya", "kami", "kita", "tôi", "mình", "tui")
FIRST_PERSON = frozenset((*_I, *_WE, *_ROMANCE, *_OTHERS))


def split_words(text: str) -> list[str]:
    """Split a text into words, in lower case, with straight apostrophes."""
    return [word.casefold().replace("\u2019", "'") for word in _WORD.findall(text)]
