"""The specification of a label."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from viral.errors import ConfigError
from viral.labels.registry import definition

Within = Literal["week", "age", "duration"]
"""Bins within which posts are compared: week of posting, age at scraping, duration of the video."""


@dataclass(frozen=True)
class LabelSpec:
    """A label: its definition, and the fraction of posts that count as viral.

    Attributes:
        definition: one of `DEFINITIONS`.
        top_fraction: fraction of posts that count as viral, between 0 and 1.
        within: compare posts within these bins only; several bins are combined.

    Raises:
        ConfigError: an unknown definition or bin, or a fraction outside 0 to 1.
    """

    definition: str
    top_fraction: float = 0.25
    within: tuple[Within, ...] = ()

    def __post_init__(self) -> None:
        definition(self.definition)
        if not 0.0 < self.top_fraction < 1.0:
            raise ConfigError(f"top_fraction is {self.top_fraction}; it must be between 0 and 1")
        if unknown := [name for name in self.within if name not in get_args(Within)]:
            raise ConfigError(f"there is no bin {unknown[0]!r}; there are: {', '.join(get_args(Within))}")
