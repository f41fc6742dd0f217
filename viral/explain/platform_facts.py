"""What the platform says of a post."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from viral.tables.schemas import PLATFORM_FACTS


@dataclass(frozen=True)
class PlatformFacts:
    """The columns `schemas.PLATFORM_FACTS` of a post; None where the scrape does not say."""

    subtitles: str | None
    subtitles_language: str | None
    sticker_texts: tuple[str, ...] | None
    effects: tuple[str, ...] | None
    is_ad: bool | None
    paid_partnership: bool | None
    made_with_ai: bool | None
    duet_of: str | None
    stitch_of: str | None
    location: str | None

    @classmethod
    def from_row(cls, post: Mapping[str, Any]) -> PlatformFacts | None:
        """Take the facts from a row of the posts table; None if there are none."""
        values: dict[str, Any] = {name: post[name] for name in PLATFORM_FACTS}
        values |= {name: tuple(value) for name, value in values.items() if isinstance(value, list)}
        return cls(**values) if any(value is not None for value in values.values()) else None
