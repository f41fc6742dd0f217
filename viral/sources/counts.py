"""Counts as people, sites and spreadsheets write them: `1,234`, `541.2K`, `1,2 Mio.`, `1.2만회`, `12 views`."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

import pyarrow as pa
import pyarrow.compute as pc

from viral.sources.settings import number_signs
from viral.sources.values import ParsedColumn, ParseError, parse_each, strip_nulls

_MAX_EXACT = 2**53  # float64 is exact up to here
_ROUNDING = 1e-9  # relative: 64900.00000000001 is a count that went through a float
_PLAIN = r"^[0-9]{1,15}$"
# Written after the number, in any language, where the letters mean the same everywhere.
_UNITS = {
    **dict.fromkeys(("k", "천", "千", "тыс", "tsd", "mila", "rb", "ribu", "พัน", "ألف", "हज़ार"), 10**3),
    **dict.fromkeys(("만", "万", "萬", "หมื่น"), 10**4),
    **dict.fromkeys(("l", "lakh", "lakhs", "lac", "लाख", "แสน"), 10**5),
    **dict.fromkeys(("m", "mm", "mn", "mio", "mln", "млн", "million", "millions", "millionen", "jt", "juta"), 10**6),
    **dict.fromkeys(("mi", "mill", "millones", "milhões", "milioni", "tr", "triệu", "ล้าน", "مليون"), 10**6),
    **dict.fromkeys(("cr", "crore", "crores", "करोड़"), 10**7),
    **dict.fromkeys(("억", "亿", "億"), 10**8),
    **dict.fromkeys(("b", "bn", "mrd", "млрд", "billion", "billions", "md", "tỷ"), 10**9),
}
_UNITS_OF_LANGUAGES = {  # where a language gives a unit another value
    "tr": {"b": 10**3, "bin": 10**3},
    "vi": {"n": 10**3, "nghìn": 10**3},
    "es": {"mil": 10**3},
    "pt": {"mil": 10**3},
    "ro": {"mil": 10**6, "mii": 10**3},
    "sv": {"tn": 10**3, "mn": 10**6},
}
_COUNTED = (  # words for what is counted; without a value of their own
    *("views", "view", "plays", "play", "likes", "like", "comments", "comment", "shares", "share", "saves", "save"),
    *("followers", "follower", "subscribers", "subscriber", "videos", "video", "posts", "post", "times", "people"),
    *(
        "조회수",
        "회",
        "명",
        "개",
        "次",
        "次观看",
        "回",
        "回視聴",
        "回再生",
        "人",
        "件",
        "播放",
        "观看次数",
        "观看",
        "次播放",
        "次觀看",
        "觀看次數",
    ),
    *("vues", "vistas", "visualizaciones", "visualizações", "visualizzazioni", "aufrufe", "weergaven", "wyświetleń"),
    *("просмотров", "просмотра", "просмотр", "görüntüleme", "lượt xem", "tayangan", "penayangan", "ครั้ง", "مشاهدة"),
    *("abonnés", "seguidores", "abonnenten", "подписчиков", "takipçi", "pengikut", "フォロワー", "팔로워", "구독자"),
)
# "No comments" and its like: a count of zero.
_NO_COUNT = ("no", "keine", "aucune", "sin", "nenhuma", "нет", "없음", "なし", "無", "无", "没有", "0")
# The site or the author hides the count: unknown, not zero.
_HIDDEN = ("hidden", "private", "비공개", "非公開", "非公开", "-1", "-1.0")
_NUMBER = re.compile(
    r"(?P<digits>\d(?:[\d.,'\u2019\u066b\u066c ]*\d)?)(?P<power>e[+-]?\d{1,2})? ?(?P<unit>[^\W\d_]*)\.?"
)
_GROUPED = re.compile(r"\d{1,3}(?:([ '\u2019\u066c])\d{3})(?:\1\d{3})*(?P<rest>[.,\u066b]\d+)?")
_JOINERS = "\ufe0e\ufe0f\u200d"  # parts of an emoji
_AMBIGUOUS = "is a count of thousands or of single ones: name the locale (--locale), for example de or en"
_NOT_A_COUNT = "is not a count"


def parse_counts(raw: pa.Array, locale: str | None = None) -> ParsedColumn:
    """Parse non-negative integers in most of the world's spellings to int64 (N,), and the faults.

    An abbreviated count is as exact as its digits: `541.2K` becomes 541,200. Without a locale, a comma groups three
    digits, a point marks decimals, and `1.000` is a fault, as it is a thousand in half of the world. "hidden" and -1
    are null. The limit is 2^53.
    """
    text = strip_nulls(raw)
    # Nearly all counts are plain digits, which Arrow converts at once; the rest is parsed one by one.
    plain = pc.fill_null(pc.match_substring_regex(text, _PLAIN), False)
    null = pa.scalar(None, pa.string())
    numbers = pc.if_else(plain, text, null).cast(pa.int64())
    if pc.all(pc.or_(plain, pc.is_null(text)), min_count=0).as_py():
        return numbers, {}
    signs = number_signs(locale) if locale else None
    language = re.split(r"[-_]", locale)[0].lower() if locale else ""
    others, faults = parse_each(pc.if_else(plain, null, text), lambda value: _read(value, signs, language), pa.int64())
    return pc.coalesce(numbers, others), faults


def parse_count(text: str) -> int:
    """Parse one count, `25K` for example, as `parse_counts` does. Raises ValueError: it is none, or unknown."""
    try:
        count = _read(text.strip(), None, "") if any(map(str.isdigit, text)) else None
    except ParseError:
        count = None
    if count is None:
        raise ValueError(f"{text!r} {_NOT_A_COUNT}")
    return count


@lru_cache(maxsize=100_000)  # abbreviated counts repeat from batch to batch
def _read(text: str, signs: tuple[str, str] | None, language: str) -> int | None:
    words = _normalise(text)
    if words in _HIDDEN:
        return None
    match = _NUMBER.fullmatch(words)
    # Only a text that does not read as a number with a unit has a word for what is counted.
    body = words if match and _unit(match["unit"], language) else _strip_counted(words)
    if body in _NO_COUNT:
        return 0
    if body.startswith("-"):
        raise ParseError("is negative" if _NUMBER.fullmatch(body[1:].lstrip()) else _NOT_A_COUNT)
    # "1,000+" is at least a thousand: the number itself is stored.
    match = match if body is words and match else _NUMBER.fullmatch(body.rstrip("+").rstrip())
    unit = _unit(match["unit"], language) if match else None
    if match is None or unit is None:
        raise ParseError(_NOT_A_COUNT)
    number = _number(match["digits"], has_unit=bool(match["unit"]), signs=signs)
    value = float(number + (match["power"] or "")) * unit
    count = round(value)
    if not match["unit"] and abs(value - count) > _ROUNDING * max(value, 1):  # a fraction is no count
        raise ParseError(_NOT_A_COUNT)
    if count > _MAX_EXACT:
        raise ParseError(_NOT_A_COUNT)
    return count


def _normalise(text: str) -> str:
    """Fold widths, blanks and case, write every digit in ASCII, and leave out hearts, eyes and other symbols."""
    folded = unicodedata.normalize("NFKC", text).casefold().replace("\u2212", "-")
    if not folded.isascii():
        folded = "".join(sign for sign in folded if sign not in _JOINERS and unicodedata.category(sign) != "So")
    digits = "".join(str(unicodedata.digit(sign)) if sign.isdigit() else sign for sign in folded)
    return " ".join(digits.split())


def _strip_counted(words: str) -> str:
    """Remove the word for what is counted, before or after the number."""
    for word in _COUNTED_LONG_FIRST:
        if words.endswith(word) and words != word:
            words = words.removesuffix(word).rstrip()
            break
    for word in _COUNTED_LONG_FIRST:
        if words.startswith(word) and words != word:
            return words.removeprefix(word).lstrip(" :")
    return words


_COUNTED_LONG_FIRST = sorted(
    {unicodedata.normalize("NFKC", word).casefold() for word in _COUNTED}, key=len, reverse=True
)


def _unit(unit: str, language: str) -> int | None:
    if not unit:
        return 1
    own = _UNITS_OF_LANGUAGES.get(language, {})
    # The language's own meaning first: `b` is a thousand in Turkish.
    return own.get(unit) or _NORMAL_UNITS.get(unit)


_NORMAL_UNITS = {unicodedata.normalize("NFKC", unit).casefold(): value for unit, value in _UNITS.items()}


def _number(digits: str, *, has_unit: bool, signs: tuple[str, str] | None) -> str:
    """Return digits without the signs that group them, and with a point for the decimals."""
    # The Arabic decimal sign; where the Arabic sign for groups is there too, `_GROUPED` takes both apart.
    digits = digits.replace("\u066b", ".") if "\u066c" not in digits else digits
    if match := _GROUPED.fullmatch(digits):  # by blanks or apostrophes: these mark no decimals
        rest = match["rest"] or ""
        return re.sub(r"\D", "", digits.removesuffix(rest)) + rest.replace(",", ".").replace("\u066b", ".")
    if signs:
        return _by_locale(digits, *signs)
    # Plain digits, or a decimal point: unless there are exactly three decimals, which may be thousands.
    if re.fullmatch(r"\d+(\.\d+)?", digits):
        if not has_unit and re.fullmatch(r"[1-9]\d{0,2}\.\d{3}", digits):
            raise ParseError(_AMBIGUOUS)
        return digits
    # Groups of three, or the Indian way: 12,34,567.
    if re.fullmatch(r"\d{1,3}(,\d{3})+(\.\d+)?|\d{1,2}(,\d{2})+,\d{3}", digits):
        if has_unit and digits.count(",") == 1 and "." not in digits:  # 1,234K: a decimal comma or a group
            raise ParseError(_AMBIGUOUS)
        return digits.replace(",", "")
    if has_unit and re.fullmatch(r"\d+,\d+", digits):  # 1,2M
        return digits.replace(",", ".")
    if re.fullmatch(r"\d{1,3}(\.\d{3}){2,}", digits):
        raise ParseError(_AMBIGUOUS)
    if re.fullmatch(r"\d{1,3}(\.\d{3})+,\d+", digits):  # a point before a comma groups
        return digits.replace(".", "").replace(",", ".")
    raise ParseError(_NOT_A_COUNT)


def _by_locale(digits: str, group: str, decimal: str) -> str:
    group, decimal = re.escape(" " if group.isspace() else group), re.escape(decimal)
    # Without groups, with groups of three, or the Indian way with a last group of three.
    whole = rf"\d+|\d{{1,3}}(?:{group}\d{{3}})+|\d{{1,2}}(?:{group}\d{{2}})*{group}\d{{3}}"
    if match := re.fullmatch(rf"({whole})(?:{decimal}(\d+))?", digits):
        fraction = match[2] or ""
        # Three zeros as decimals: more likely thousands, and the named locale is wrong.
        if fraction and len(fraction) == 3 and not fraction.strip("0"):
            raise ParseError(_AMBIGUOUS)
        return re.sub(r"\D", "", match[1]) + (f".{fraction}" if fraction else "")
    if re.fullmatch(r"\d+\.\d+", digits) and not re.fullmatch(r"\d{1,3}\.\d{3}", digits):  # 12.0 from a program
        return digits
    if re.fullmatch(r"\d{1,3}(,\d{3}){2,}|\d{1,2}(,\d{2})+,\d{3}", digits):  # no number has several decimal commas
        return digits.replace(",", "")
    raise ParseError(_NOT_A_COUNT)
