"""How the values of a file are written: encoding, numbers, times."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from viral.errors import ConfigError
from viral.sources.opened import check_encoding

DATE_ORDERS = ("mdy", "dmy", "ymd")


@dataclass(frozen=True)
class ReadSettings:
    """How to read the values of a file; None where the user does not say.

    Args:
        encoding: of a text file that is not UTF-8.
        locale: whose signs group digits and mark decimals, for example `de` or `en_IN`.
        zone: IANA name of the zone of times without one; UTC if None.
        dates: order of numeric dates: `mdy`, `dmy` or `ymd`. Without it, `3/4/23` is refused.
        scraped_at: time of scraping for rows without one; ages like "3 months ago" count back from it.
        photos: keep photo sets whose pictures are known.
        force: keep identifiers that look rounded.

    Raises:
        ConfigError: there is no such encoding, locale, zone or order.
    """

    encoding: str | None = None
    locale: str | None = None
    zone: str | None = None
    dates: str | None = None
    scraped_at: datetime | None = None
    photos: bool = False
    force: bool = False

    def __post_init__(self) -> None:
        if self.encoding is not None:
            check_encoding(self.encoding)
        if self.locale is not None:
            number_signs(self.locale)
        if self.zone is not None:
            check_zone(self.zone)
        if self.dates is not None and self.dates not in DATE_ORDERS:
            raise ConfigError(f"dates are {', '.join(DATE_ORDERS)}, not {self.dates!r}")
        # Without a zone it is taken as UTC, like the times in a file.
        if self.scraped_at is not None and self.scraped_at.tzinfo is None:
            object.__setattr__(self, "scraped_at", self.scraped_at.replace(tzinfo=UTC))

    def over(self, defaults: Mapping[str, Any]) -> ReadSettings:
        """Return settings with the map's where the user gave none."""
        # None and False alike mean that the user gave no setting; a map may have other settings, such as a CSV layout.
        missing = {name: value for name, value in defaults.items() if name in _NAMES and not getattr(self, name)}
        return replace(self, **missing)

    def for_column(self, own: Mapping[str, Any]) -> ReadSettings:
        """Return settings with those of one column."""
        return replace(self, **{name: value for name, value in own.items() if name in _NAMES})


_NAMES = {field.name for field in fields(ReadSettings)}


def check_zone(zone: str) -> None:
    """Raise ConfigError if there is no such time zone."""
    try:
        ZoneInfo(zone)
    except (KeyError, ValueError, OSError):
        raise ConfigError(f"there is no time zone {zone!r}: name one as Europe/Berlin or UTC") from None


def number_signs(locale: str) -> tuple[str, str]:
    """Return the signs of a locale that group digits and that mark decimals.

    Raises:
        ConfigError: there is no such locale.
    """
    from babel import Locale, UnknownLocaleError
    from babel.numbers import get_decimal_symbol, get_group_symbol

    try:
        parsed = Locale.parse(locale, sep="-" if "-" in locale else "_")
    except (UnknownLocaleError, ValueError):
        raise ConfigError(f"there is no locale {locale!r}: name one as de, pt_BR or en_IN") from None
    return get_group_symbol(parsed), get_decimal_symbol(parsed)
