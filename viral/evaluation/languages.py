"""English names of caption languages."""

from __future__ import annotations

from viral.evaluation.groups import UNKNOWN

NO_CAPTION = "no caption"
_NAMES = {
    "en": "English",
    "es": "Spanish",
    "pt": "Portuguese",
    "fr": "French",
    "de": "German",
    "it": "Italian",
    "nl": "Dutch",
    "pl": "Polish",
    "ru": "Russian",
    "uk": "Ukrainian",
    "tr": "Turkish",
    "ar": "Arabic",
    "fa": "Persian",
    "hi": "Hindi",
    "id": "Indonesian",
    "ms": "Malay",
    "tl": "Tagalog",
    "vi": "Vietnamese",
    "th": "Thai",
    "ja": "Japanese",
    "ko": "Korean",
    "zh": "Chinese",
    UNKNOWN: UNKNOWN,
}


def language_name(code: str) -> str:
    """Return the English name of a language code; for a rare language, the code."""
    return _NAMES.get(code, code)
