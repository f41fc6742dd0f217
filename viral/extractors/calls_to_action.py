"""Detection of calls to action in captions by a list of phrases, mostly English."""

from __future__ import annotations

import re
from collections.abc import Mapping

_PHRASES: Mapping[str, tuple[str, ...]] = {
    "follow": (
        r"\bfollow (?:me|us|my|our|for|along|back|if|to see|and|&|@)",
        r"(?:^|[.!?] *)follow\b",
        r"\bsubscribe\b",
        r"\bs[íi]gu?eme\b|\bs[íi]guenos\b|\bme segue\b|\bsegue (?:a gente|aqui|lá)\b",
        r"\babonne(?:z-vous|-toi)\b|\bfolg(?:t|e)? (?:mir|uns)\b|\bikuti (?:aku|kami|saya)\b|\btheo dõi\b",
    ),
    "like": (
        r"\b(?:drop|leave|hit|smash|give|tap)(?: (?:a|the|that|this|it|us|me))* like\b|\bdouble[- ]tap\b",
        r"(?<!\bi )\blike (?:this video|this if|if you|for (?:part|more|a part))\b",
        r"\blike(?:,| and| &|,? and) (?:comment|share|follow|subscribe|save)\b",
        r"\b(?:deja|dale|deixa?|lasst?|lâche)(?: \w+)? like\b|\bcurt(?:e|a) (?:o|esse|este)\b|\bthả t[iy]m\b",
    ),
    "comment": (
        r"(?:^|[.!?,] *|\band |& )comment\b|\bcomment (?:below|down|your|if|what|which|who)\b",
        r"\b(?:let (?:me|us) know|tell (?:me|us)|drop|leave|write|say)\b[^.!?]{0,40}\bcomments?\b",
        r"\bthoughts\?|\bwhat do you think\b",
        r"\bcoment(?:a|en|e|em)\b|\bcommente[zs]?\b|\bkomentar\b|\bkommentiert?\b|\bbình luận\b",
    ),
    "share": (
        r"\bshare (?:this|it|with|to)\b|\bsend (?:this|it) to\b|(?:,|\band|&) share\b",
        r"\bcomparte\b|\bcompartilh[ae]\b|\bpartage[zrs]?\b|\bbagikan\b|\bchia sẻ\b",
    ),
    "save": (
        r"\bsave (?:this|it|for later|the (?:video|recipe|post))\b",
        r"\bguarda (?:este|esto|el)\b|\bsalva (?:esse|este|o)\b|\benregistre[zs]?\b|\bsimpan\b|\blưu (?:lại|video)\b",
    ),
    "tag": (
        r"\btag (?:a|an|your|someone|somebody|who|the|that|them|him|her|us|me)\b",
        r"\betiqueta a\b|\bmarca (?:a|o|um|uma|seu|sua|tu)\b|\bidentifie[zs]?\b|\bgắn thẻ\b",
    ),
    "link": (
        r"\blinks?(?: is| are)? (?:in|on|below|en|na|no|dans|di|ở)\b|\blink[- ]?in[- ]?bio\b|\benlace en\b",
        r"\bshop (?:now|the|my|our|here)\b|\border (?:now|yours|here)\b|\bbuy (?:now|it here|yours)\b",
    ),
    "watch": (
        r"\bwait (?:for it|(?:till|until|for) the end)\b|\bwatch (?:till|until|to|til|'til) the end\b",
        r"\bespera(?:te)? (?:al|hasta el) final\b|\baté o final\b|\bjusqu'à la fin\b|\bbis zum ende\b|\bxem hết\b",
    ),
}
CALLS = tuple(_PHRASES)
_PATTERNS = {call: re.compile("|".join(phrases)) for call, phrases in _PHRASES.items()}


def find_calls(text: str) -> dict[str, bool]:
    """Return, for each of `CALLS`, whether a text (without its hashtags) contains it."""
    # Phones type curly apostrophes; the patterns have straight ones.
    plain = text.casefold().replace("\u2019", "'")
    return {call: bool(pattern.search(plain)) for call, pattern in _PATTERNS.items()}
