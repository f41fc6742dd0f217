"""Which label is wanted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from viral.errors import ConfigError
from viral.labels.registry import definition

Within = Literal["week", "age", "duration"]
"""What posts may be compared within: the week of posting, the age when scraped, the duration of the video."""


@dataclass(frozen=True)
class LabelSpec:
    """A label: its definition, and which part of the posts counts as viral.

    Attributes:
        definition: one of `DEFINITIONS`.
        top_fraction: the share of posts that is viral, between 0 and 1.
        within: compare a post with those of the same bin only; several make finer bins.

    Raises:
        ConfigError: an unknown definition or bin, or a fraction that is not between 0 and 1.
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
