"""Identifiers of posts, authors and sounds, and the time that an identifier of a platform holds."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from viral.sources.values import Faults, ParsedColumn, ParseError, find_faults, parse_each, strip_nulls

# With a decimal sign or a plus: from a spreadsheet or a program, not a platform.
_EXPONENT = r"^[0-9]+(?:[.,][0-9]+[eE]\+?|[eE]\+)[0-9]+$"
_POINT_ZERO = r"^[0-9]+\.0*$"  # a whole number written as a float
_LONG_POINT_ZERO = r"^[0-9]{16,}\.0*$"  # more digits than a float64 holds
_WRAPPED = r"^(?:=\s*\"(.*)\"|'(.*)|\"(.*)\")$"  # so that a spreadsheet takes digits for text
_ROUNDED = r"^[0-9]{10,14}[1-9]0{4,6}$"  # a spreadsheet keeps 15 digits, of which the last may be zeros, too
_MAX_ROUNDED = 0.02  # of the long identifiers; of good ones, 0.01 % end with four zeros
_ADDRESS = re.compile(r"^(?:https?:)?//|^www\.", re.IGNORECASE)
_IN_ADDRESS = (
    re.compile(r"/(?:video|photo|v|embed|note|story)/(?:v\d/)?(\d{5,})"),  # TikTok
    re.compile(r"(?:/shorts/|youtu\.be/|/embed/|[?&]v=|/live/)([\w-]{11})(?![\w-])"),
    re.compile(r"instagram\.com/(?:[\w.]+/)?(?:p|reels?|tv)/([\w-]+)"),
    re.compile(r"/(?:status|videos|reel|watch/\?v=)/?(\d{5,})"),  # X, Facebook
    re.compile(r"[?&](?:item_id|aweme_id|modal_id|share_item_id)=(\d+)"),
)
_AUTHOR_IN_ADDRESS = (
    re.compile(r"/@([\w.%-]+)"),
    re.compile(r"instagram\.com/([\w.]+)/?(?:\?|$|(?:p|reels?|tv)/)"),
    re.compile(r"youtube\.com/(?:channel|c|user)/([\w-]+)"),
)
# First parts of Instagram's paths that are no names of accounts.
_NO_AUTHOR = ("p", "reel", "reels", "tv", "stories", "explore")
TIKTOK_FIRST, INSTAGRAM_EPOCH = datetime(2014, 9, 1, tzinfo=UTC), 1_314_220_021_721  # Musical.ly's start; milliseconds
_LATER = 2 * 86_400  # seconds that a clock may be ahead


def parse_post_ids(raw: pa.Array, *, force: bool = False) -> ParsedColumn:
    """Parse identifiers of posts to string (N,), and the faults: missing, rounded, or an address without one.

    An address yields the identifier in it. `force` keeps identifiers that look rounded.
    """
    values, faults = parse_identifiers(raw)
    addresses = pc.fill_null(pc.match_substring_regex(values, _ADDRESS.pattern, ignore_case=True), False)
    if pc.any(addresses, min_count=0).as_py():
        inside, more = parse_each(pc.if_else(addresses, values, pa.scalar(None, pa.string())), _post_of, pa.string())
        values, faults = pc.if_else(addresses, inside, values), faults | more
    if not force:
        faults |= _rounded(values)
    missing = pc.indices_nonzero(pc.is_null(values)).to_pylist()
    return values, dict.fromkeys(missing, "is missing") | faults


def _rounded(ids: pa.Array) -> Faults:
    """Faults of identifiers that a spreadsheet rounded to 15 digits, if there are more than chance explains."""
    long = pc.fill_null(pc.match_substring_regex(ids, r"^[0-9]{17,20}$"), False)
    rounded = pc.and_(long, pc.fill_null(pc.match_substring_regex(ids, _ROUNDED), False))
    count = pc.sum(rounded, min_count=0).as_py()
    # Some good identifiers look rounded by chance: one alone is no fault.
    if count <= _MAX_ROUNDED * pc.sum(long, min_count=0).as_py():
        return {}
    return find_faults(ids, rounded, lambda _: "looks rounded to 15 digits: export it as text, or add --force")


def parse_identifiers(raw: pa.Array) -> ParsedColumn:
    """Parse identifiers to string (N,), and the faults. One that lost digits to floating point becomes null, a fault.

    `7.5e+18` and `7506832682593094656.0` may stand for a thousand identifiers or more; `12.0` is still `12`, and
    `="12"` and `'12` are.
    """
    text = strip_nulls(raw)
    text = strip_nulls(pc.replace_substring_regex(text, _WRAPPED, r"\1\2\3"))
    # Such a number names many identifiers: storing one would join posts that have nothing to do with each other.
    exponent = pc.match_substring_regex(text, _EXPONENT)
    lost = pc.or_(exponent, pc.match_substring_regex(text, _LONG_POINT_ZERO))
    point_zero = pc.match_substring_regex(text, _POINT_ZERO)
    integer = pc.if_else(point_zero, pc.replace_substring_regex(text, r"\.0*$", ""), text)
    identifier = pc.if_else(lost, pa.scalar(None, pa.string()), integer)
    return identifier, find_faults(text, lost, lambda _: "lost digits to floating point: export it as text")


def parse_author_ids(raw: pa.Array) -> ParsedColumn:
    """Parse identifiers of authors to string (N,), without an `@`; an address yields the name in it, or null."""
    values, faults = parse_identifiers(raw)
    # Exporters write `@name` or `name` for the same account.
    values = pc.replace_substring_regex(values, r"^@(\S)", r"\1")
    return author_in_addresses(values, keep=True), faults


def author_in_addresses(texts: pa.Array, *, keep: bool = False) -> pa.Array:
    """Names of authors in addresses, string (N,); other texts stay if `keep`, or become null."""
    null = pa.scalar(None, pa.string())
    addresses = pc.fill_null(pc.match_substring_regex(texts, _ADDRESS.pattern, ignore_case=True), False)
    if not pc.any(addresses, min_count=0).as_py():
        return texts if keep else pa.nulls(len(texts), pa.string())
    inside, _ = parse_each(pc.if_else(addresses, texts, null), _author_of, pa.string())
    return pc.if_else(addresses, inside, texts if keep else null)


def addresses_of(texts: pa.Array) -> pa.Array:
    """The texts that are web addresses, string (N,); others become null."""
    trimmed = pc.utf8_trim_whitespace(texts)
    addresses = pc.fill_null(pc.match_substring_regex(trimmed, _ADDRESS.pattern, ignore_case=True), False)
    return pc.if_else(addresses, trimmed, pa.scalar(None, pa.string()))


def may_identify(text: str) -> bool:
    """Whether a text may be the identifier of a post: any but an address without one, as that of a picture."""
    return not _ADDRESS.search(text.strip()) or any(pattern.search(text) for pattern in _IN_ADDRESS)


def _post_of(address: str) -> str:
    for pattern in _IN_ADDRESS:
        if match := pattern.search(address):
            return match[1]
    raise ParseError("is an address without the identifier of a post")


def _author_of(address: str) -> str | None:
    matches = (pattern.search(address) for pattern in _AUTHOR_IN_ADDRESS)
    return next((match[1] for match in matches if match and match[1] not in _NO_AUTHOR), None)


def times_in_ids(ids: pa.Array, pages: pa.Array) -> npt.NDArray[np.float64]:
    """Seconds since 1970 that identifiers of TikTok or Instagram hold, float64 (N,); NaN where they hold none.

    Instagram's are read where the address of the post is Instagram's. Source: the layouts of both are public knowledge,
    `id >> 32` seconds, and `(id >> 23) + 1314220021721` milliseconds.
    """
    numeric = pc.match_substring_regex(ids, r"^[0-9]{17,19}$")
    # uint64, in which 19 digits fit; float64 would lose the last ones.
    numbers = np.asarray(pc.fill_null(pc.if_else(numeric, ids, pa.scalar(None, pa.string())), "0").cast(pa.uint64()))
    instagram = np.asarray(pc.fill_null(pc.match_substring(pages, "instagram.com"), False), bool)
    # Both layouts are computed for all rows, and each row takes its own.
    seconds = np.where(
        instagram, ((numbers >> np.uint64(23)) + np.uint64(INSTAGRAM_EPOCH)) / 1e3, numbers >> np.uint64(32)
    )
    # An identifier of another layout gives a time before the platform or in the future.
    latest = datetime.now(UTC).timestamp() + _LATER
    return np.where((seconds >= TIKTOK_FIRST.timestamp()) & (seconds <= latest), seconds, np.nan)


def count_rounded(ids: pa.Array) -> tuple[int, int]:
    """Count the long identifiers that a float64 may have rounded, multiples of 1,000 or 1,024, and all long ones."""
    long = ids.filter(pc.fill_null(pc.match_substring_regex(ids, r"^[0-9]{17,19}$"), False))
    numbers = np.asarray(long.cast(pa.uint64()))
    return int(((numbers % 1024 == 0) | (numbers % 1000 == 0)).sum()), len(numbers)
